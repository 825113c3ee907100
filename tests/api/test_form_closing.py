"""Forms that close accrual or a study: nobody records them without having seen what they stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.contracts.catalogue import STREAMS
from shared.testing.builders import facts
from shared.ui.forms.closing_effects import CLOSING_FACTS
from tests.api.support.form_browser import FormBrowser, form_browser, pages_of
from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import Demo

LAST_DAY = "2024-10-01"
"""The windows of the first two of eight visits, three months apart, closed before this day."""


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with a treated participant in Rome, one without radiotherapy in Milan, and one in screening."""
    course = (facts.radiotherapy_started("2024-02-01"), facts.radiotherapy_completed("2024-02-29"))
    with open_study(demo) as study:
        study.enroll_at("rome", *course)
        study.enroll_at("milan")
        study.register(facts.participant_screened(site_id="rome"))
        yield study


@pytest.fixture
def administrator(study: StudyUnderTest) -> Iterator[FormBrowser]:
    with form_browser(study, "administrator") as browser:
        yield browser


def recorded_closures(study: StudyUnderTest, type_name: str) -> list[dict[str, object]]:
    recorded_facts = study.get("", "administrator").json()["facts"]
    return [fact["data"] for fact in recorded_facts if fact["type"] == type_name]


def test_every_fact_that_requires_a_check_has_effects_to_show() -> None:
    kinds = {kind for stream in STREAMS for kind in stream.declared_facts.values() if kind.requires_check}
    assert kinds == CLOSING_FACTS


@pytest.mark.parametrize(
    ("type_name", "sentences"),
    [
        (
            "study.closed",
            [
                "can have no facts dated after that day 3: 1 in screening, 0 with consent, 2 enrolled.",
                "Sites that take part on that day 2.",
                "Planned visits whose window closes on that day or later 6, counted",
            ],
        ),
        (
            "study.accrual_closed",
            [
                "Participants who cannot be enrolled after that day 1: 1 in screening, 0 with consent.",
                "Sites that cannot screen after that day 2.",
                "Enrolled participants 2: their follow-up goes on, and none of their visits stops.",
            ],
        ),
    ],
)
def test_closure_is_recorded_after_a_check_that_shows_what_it_stops(
    study: StudyUnderTest, administrator: FormBrowser, type_name: str, sentences: list[str]
) -> None:
    page = administrator.open(f"{pages_of(study)}/facts/{type_name}")
    assert ("record", "1") not in page.parser.buttons
    assert "Check first" in page.text
    page.fill({"on": LAST_DAY})
    for pressed, status in (("check", 200), ("record", 422)):
        checked = administrator.press(page, pressed)
        assert checked.status == status, checked.text
        assert "Nothing was recorded yet." in checked.text
        for sentence in sentences:
            assert sentence in checked.text, checked.text
        assert ("record", "1") in checked.parser.buttons
    assert recorded_closures(study, type_name) == []
    recorded = administrator.press(checked, "record")
    assert recorded.status == 200, recorded.text
    assert recorded_closures(study, type_name) == [{"on": LAST_DAY}]
    repeated = administrator.press(checked, "record")  # a double click
    assert repeated.response.url == recorded.response.url
    assert len(recorded_closures(study, type_name)) == 1


def test_check_of_another_day_or_of_another_form_is_no_check(study: StudyUnderTest, administrator: FormBrowser) -> None:
    address = f"{pages_of(study)}/facts/study.closed"
    page = administrator.open(address)
    page.fill({"on": LAST_DAY})
    checked = administrator.press(page, "check")
    checked.fill({"on": "2024-01-01"})
    again = administrator.press(checked, "record")
    assert (again.status, "Nothing was recorded yet." in again.text) == (422, True)
    assert "Planned visits whose window closes on that day or later 8, counted" in again.text
    other_form = administrator.open(address)
    other_form.fill({"on": LAST_DAY})
    digest = {"tag": "hidden", "name": "form:checked", "value": checked.value("form:checked")}
    other_form.parser.controls.append(digest)
    assert administrator.press(other_form, "record").status == 422
    assert recorded_closures(study, "study.closed") == []


def test_check_that_finds_a_fault_shows_no_button_that_records(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    page = administrator.open(f"{pages_of(study)}/facts/study.closed")
    page.fill({"on": "2024-13-01"})
    refused = administrator.press(page, "record")
    assert refused.status == 422
    assert ("record", "1") not in refused.parser.buttons
    assert "Planned visits" not in refused.text


def test_form_that_was_recorded_and_changed_leads_to_a_conflict(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    """W2 holds for these forms too: a used key with another body is 409, and no new check hides it."""
    page = administrator.open(f"{pages_of(study)}/facts/study.accrual_closed")
    page.fill({"on": LAST_DAY})
    checked = administrator.press(page, "check")
    assert administrator.press(checked, "record").status == 200
    checked.fill({"on": "2024-12-01"})
    answer = administrator.press(checked, "record")
    assert (answer.status, "This form was recorded at" in answer.text) == (409, True), answer.text


@pytest.mark.parametrize(("day", "count"), [("2024-06-10", 8), ("2024-07-10", 7)])
def test_visit_whose_window_closed_before_the_last_day_is_not_stopped(
    study: StudyUnderTest, administrator: FormBrowser, day: str, count: int
) -> None:
    """V9: such a visit stays expected, and becomes missed, although it can still be held until the next one opens."""
    page = administrator.open(f"{pages_of(study)}/facts/study.closed")
    page.fill({"on": day})
    checked = administrator.press(page, "check")
    assert f"closes on that day or later {count}, counted" in checked.text, checked.text


def test_participants_of_a_site_that_closed_earlier_are_not_counted(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    assert study.record_study_fact(facts.site_closed("rome", "2024-08-01")).status_code == 201
    page = administrator.open(f"{pages_of(study)}/facts/study.closed")
    page.fill({"on": LAST_DAY})
    checked = administrator.press(page, "check")
    assert "dated after that day 1: 0 in screening, 0 with consent, 1 enrolled." in checked.text, checked.text
    assert "closes on that day or later 0, counted" in checked.text


def test_json_route_records_a_closure_without_a_check(study: StudyUnderTest) -> None:
    assert study.record_study_fact(facts.study_closed("2025-01-31")).status_code == 201


def test_check_before_something_else_was_recorded_is_no_check(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    """The end of accrual may stop something else now, so the page shows anew what it stops."""
    page = administrator.open(f"{pages_of(study)}/facts/study.accrual_closed")
    page.fill({"on": LAST_DAY})
    checked = administrator.press(page, "check")
    assert study.record_study_fact(facts.cut_taken()).status_code == 201
    stale = administrator.press(checked, "record")
    assert (stale.status, ("record", "1") in stale.parser.buttons) == (412, False)
    again = administrator.press(stale, "check")
    assert administrator.press(again, "record").status == 200
    assert len(recorded_closures(study, "study.accrual_closed")) == 1
