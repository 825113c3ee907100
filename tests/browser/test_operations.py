from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered
from shared.testing.builders.follow_up_facts import follow_up_recorded
from shared.testing.builders.participant_history import participant_stream
from tests.api.support.study import StudyUnderTest, open_study
from tests.browser.support.page_checks import check_on_desk_and_phone
from tests.demo import SAME_ORIGIN_HEADERS, Demo
from tests.integration.support.publisher import publish_events


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with a parked stream, which is completed at the end, and a participant without a screening."""
    with open_study(demo) as study:
        gapped_stream = participant_stream(study.study_id, lesion_registered())
        unscreened_stream = EventStream(study.study_id, service="followup")
        unscreened_stream.record(follow_up_recorded("2024-05-01"))
        publish_events(demo, [gapped_stream.events[0], gapped_stream.events[2], *unscreened_stream.events])
        study.external_event_count += 2
        study.wait_for_analytics()
        yield study
        publish_events(demo, gapped_stream.events)


@pytest.fixture
def operations_page(page: Page, demo: Demo, study: StudyUnderTest) -> Page:
    address = f"/analytics/studies/{study.study_id}/operations"
    token = demo.token("administrator", study=study.study_id)
    page.request.post("/session", form={"token": token, "next": address}, headers=SAME_ORIGIN_HEADERS)
    page.goto(address)
    return page


def test_operations_page_is_accessible_and_fits(operations_page: Page) -> None:
    expect(operations_page.locator("[data-number=unscreened]")).to_have_text("1")
    expect(operations_page.locator("#parked tbody tr")).to_have_count(1)
    for service in ("enrollment", "toxicity", "followup"):
        relay = operations_page.locator(f"[data-relay='/{service}/health/relay']")
        expect(relay).to_have_text(re.compile(r"^had published everything \d+ s ago$"))
    check_on_desk_and_phone(operations_page)
