from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from tests.demo import SCREENING_DATA

ScreenParticipantFunction = Callable[[dict[str, Any]], object]


@pytest.fixture
def participants_page(signed_in: Page) -> Page:
    """The list of participants, as the investigator sees it."""
    signed_in.goto(f"/analytics/studies/{STUDY_ID}/participants")
    return signed_in


@pytest.fixture
def participant_page(participants_page: Page) -> Page:
    """The page of an enrolled participant."""
    participants_page.get_by_role("row", name="enrolled").first.get_by_role("link").click()
    expect(participants_page.locator("#timeline svg")).to_be_visible()
    participants_page.wait_for_load_state()  # until the style sheet is there, nothing has its width
    return participants_page


def test_swim_lane_is_above_the_event_list_and_the_page_is_live(participant_page: Page) -> None:
    expect(participant_page.locator("#state")).to_have_text("Live")
    expect(participant_page.locator("ol.events")).to_contain_text("Enrolled")
    picture_box, list_box = (participant_page.locator(part).bounding_box() for part in ("#timeline svg", "ol.events"))
    assert picture_box
    assert list_box
    assert picture_box["y"] + picture_box["height"] <= list_box["y"]


def test_timeline_is_updated_without_reload(
    participant_page: Page, screen_participant: ScreenParticipantFunction
) -> None:
    timeline = participant_page.locator("#timeline")
    expect(participant_page.locator("#state")).to_have_text("Live")
    before = timeline.get_attribute("data-version") or ""
    participant_page.evaluate("window.sameDocument = true")
    screen_participant(SCREENING_DATA)
    expect(timeline).not_to_have_attribute("data-version", before)
    expect(participant_page.locator("[data-show=version]")).to_have_text(timeline.get_attribute("data-version") or "")
    assert participant_page.evaluate("window.sameDocument") is True


def test_every_file_offered_by_a_timeline_can_be_downloaded(participant_page: Page) -> None:
    links = participant_page.locator("#timeline .downloads a")
    addresses = [links.nth(index).get_attribute("href") or "" for index in range(links.count())]
    assert [address.rpartition(".")[2] for address in addresses] == ["json", "svg"]
    assert [participant_page.request.get(address).status for address in addresses] == [200, 200]
