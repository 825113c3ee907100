from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import STUDY_ID
from tests.browser.test_page import PHONE, SCREENED, Violations, overflow

Screen = Callable[[dict[str, Any]], object]


@pytest.fixture
def participants(cohort: Page) -> Page:
    """The list of participants, as the cohort page leads there."""
    cohort.get_by_role("link", name="Participants").click()
    expect(cohort).to_have_url(f"/analytics/studies/{STUDY_ID}/participants")
    return cohort


@pytest.fixture
def participant(participants: Page) -> Page:
    """Somebody who was treated."""
    participants.get_by_role("row", name="enrolled").first.get_by_role("link").click()
    expect(participants.locator("#timeline svg")).to_be_visible()
    participants.wait_for_load_state()  # until the style sheet is there, nothing has its width
    return participants


def test_a_participant_is_drawn_above_the_list_and_the_page_is_live(participant: Page) -> None:
    expect(participant.locator("#state")).to_have_text("Live")
    expect(participant.locator("ol.events")).to_contain_text("Enrolled")
    picture, listed = (participant.locator(part).bounding_box() for part in ("#timeline svg", "ol.events"))
    assert picture
    assert listed
    assert picture["y"] + picture["height"] <= listed["y"]


def test_a_timeline_follows_the_study_without_a_reload(participant: Page, screen: Screen) -> None:
    timeline = participant.locator("#timeline")
    expect(participant.locator("#state")).to_have_text("Live")
    before = timeline.get_attribute("data-version") or ""
    participant.evaluate("window.sameDocument = true")
    screen(SCREENED)
    expect(timeline).not_to_have_attribute("data-version", before, timeout=20_000)
    expect(participant.locator("[data-show=version]")).to_have_text(timeline.get_attribute("data-version") or "")
    assert participant.evaluate("window.sameDocument") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_participants_break_no_rule_of_accessibility(
    participants: Page, violations: Violations, scheme: Literal["light", "dark"]
) -> None:
    participants.emulate_media(color_scheme=scheme)
    assert violations() == []
    participants.get_by_role("row", name="enrolled").first.get_by_role("link").click()
    expect(participants.locator("#timeline svg")).to_be_visible()
    participants.wait_for_load_state()  # until the style sheet is there, nothing has its width
    assert violations() == []


def test_neither_page_is_wider_than_a_phone(participants: Page) -> None:
    participants.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert overflow(participants) == 0
    participants.get_by_role("row", name="enrolled").first.get_by_role("link").click()
    expect(participants.locator("#timeline svg")).to_be_visible()
    participants.wait_for_load_state()  # until the style sheet is there, nothing has its width
    assert overflow(participants) == 0


def test_every_file_that_a_timeline_offers_can_be_had(participant: Page) -> None:
    links = participant.locator("#timeline .downloads a")
    addresses = [links.nth(index).get_attribute("href") or "" for index in range(links.count())]
    assert [address.rpartition(".")[2] for address in addresses] == ["json", "svg"]
    assert [participant.request.get(address).status for address in addresses] == [200, 200]
