from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from shared.contracts.followup import FollowUpRecorded
from tests.api.own_study import OwnStudy, own_study
from tests.demo import FROM_A_PAGE, Demo
from tests.integration.publishing import publish
from tests.integration.stated import Telling, lesion, participant


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    """With a stream that stands still, which is mended at the end, and somebody without a screening."""
    with own_study(demo) as opened:
        gapped = participant(opened.study_id, lesion())
        late = Telling(opened.study_id, service="followup")
        late.tell(FollowUpRecorded.model_validate({"seen_on": "2024-05-01", "mode": "clinic"}))
        publish(demo, [gapped.events[0], gapped.events[2], *late.events])
        opened.others += 2
        opened.position()
        yield opened
        publish(demo, gapped.events)


@pytest.fixture
def operations(page: Page, demo: Demo, study: OwnStudy) -> Page:
    address = f"/analytics/studies/{study.study_id}/operations"
    token = demo.token("administrator", study=study.study_id)
    page.request.post("/session", form={"token": token, "next": address}, headers=FROM_A_PAGE)
    page.goto(address)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_operations_page_breaks_no_rule_of_accessibility(
    operations: Page, violations: Callable[[], list[tuple[str, list[str]]]], scheme: Literal["light", "dark"]
) -> None:
    operations.emulate_media(color_scheme=scheme)
    expect(operations.locator("[data-number=unscreened]")).to_have_text("1")
    expect(operations.locator("#parked tbody tr")).to_have_count(1)
    assert violations() == []


def test_the_operations_page_is_no_wider_than_a_phone(operations: Page) -> None:
    operations.set_viewport_size({"width": 390, "height": 844})
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert operations.evaluate(wider) == 0
