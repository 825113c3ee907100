"""The worked examples of the schedule, on the plain implementation."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tests.two_years.history import (
    DeathReport,
    EndOfActivity,
    EndOfCourse,
    LossReport,
    MissedDeclaration,
    PlainFact,
    PlainPlan,
    PlanAmendment,
    ProofOfLife,
    ReturnReport,
    VisitContact,
)
from tests.two_years.plain_schedule import months_later
from tests.two_years.worked_examples import (
    BERLIN,
    ROME,
    TOKYO,
    anchor,
    entry,
    local,
    states,
    study_of,
    visits_known,
)

ALL_NUMBERS = range(1, 9)


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("end", "targets"),
    [
        (
            "2024-11-30",
            "2025-02-28 2025-05-30 2025-08-30 2025-11-30 2026-02-28 2026-05-30 2026-08-30 2026-11-30",
        ),
        (
            "2025-08-31",
            "2025-11-30 2026-02-28 2026-05-31 2026-08-31 2026-11-30 2027-02-28 2027-05-31 2027-08-31",
        ),
    ],
)
def test_targets_are_counted_from_the_anchor(end: str, targets: str) -> None:
    visits = visits_known(study_of(anchor(end)), local("2026-01-01"))
    assert [visit.target for visit in visits] == [day(text) for text in targets.split()]


def test_leap_year_has_its_last_day_of_february() -> None:
    visits = visits_known(study_of(anchor("2023-11-30")), local("2026-01-01"))
    assert (visits[0].target, visits[4].target) == (day("2024-02-29"), day("2025-02-28"))


def test_slots_tile() -> None:
    first, second, *_ = visits_known(study_of(anchor("2025-01-15")), local("2025-02-01"))
    assert (first.opens, first.target, first.closes) == (day("2025-04-01"), day("2025-04-15"), day("2025-04-29"))
    assert (first.slot_ends, second.opens) == (day("2025-06-30"), day("2025-07-01"))


def test_last_slot_ends_before_the_visit_after_it_would_open() -> None:
    assert visits_known(study_of(anchor("2025-01-15")), local("2025-02-01"))[-1].slot_ends == day("2027-03-31")


@pytest.mark.parametrize(
    ("today", "state"),
    [
        ("2025-02-13", "planned"),
        ("2025-02-14", "due"),
        ("2025-03-14", "due"),
        ("2025-03-15", "overdue"),
        ("2025-05-15", "overdue"),
        ("2025-05-16", "missed"),
    ],
)
def test_state_without_a_contact_goes_by_the_day(today: str, state: str) -> None:
    assert states(study_of(anchor("2024-11-30")), local(today))[1] == state


@pytest.mark.parametrize(
    ("contact_day", "expected"),
    [
        ("2025-03-14", {1: "done", 2: "due"}),
        ("2025-03-15", {1: "done_late", 2: "due"}),
        ("2025-05-15", {1: "done_late", 2: "due"}),
        ("2025-05-16", {1: "missed", 2: "done"}),
    ],
)
def test_day_of_a_contact_decides_its_visit(contact_day: str, expected: dict[int, str]) -> None:
    study = study_of(anchor("2024-11-30"), entry("contact", VisitContact(seen_on=day(contact_day)), "2025-05-16"))
    assert {number: states(study, local("2025-05-16"))[number] for number in expected} == expected


@pytest.mark.parametrize(("died", "missed"), [("2025-03-05", []), ("2025-03-14", []), ("2025-04-01", [1])])
def test_death_makes_visits_not_applicable_that_had_not_closed(died: str, missed: list[int]) -> None:
    study = study_of(anchor("2024-11-30"), entry("death", DeathReport(died_on=day(died)), "2025-05-01"))
    expected = {number: "missed" if number in missed else "not_applicable" for number in ALL_NUMBERS}
    assert states(study, local("2025-05-02")) == expected


def test_day_is_that_of_the_site() -> None:
    now = datetime(2025, 3, 14, 15, 30, tzinfo=UTC)
    by_site = {site.site_id: states(study_of(anchor("2024-11-30"), site=site), now)[1] for site in (TOKYO, ROME)}
    assert by_site == {"tokyo": "overdue", "rome": "due"}


def test_return_lets_later_visits_be_planned_again() -> None:
    study = study_of(
        anchor("2025-01-15"),
        entry("lost", LossReport(on=day("2025-09-01")), "2025-09-01"),
        entry("back", ReturnReport(on=day("2025-12-20")), "2025-12-20"),
    )
    assert states(study, local("2025-12-19"))[3] == "not_applicable"
    after = states(study, local("2025-12-21"))
    assert (after[3], after[4], after[5]) == ("missed", "planned", "planned")


def test_amendment_changes_no_visit_whose_target_lies_before_it() -> None:
    week = PlainPlan(before=7, after=7)
    amendment = PlanAmendment(at=local("2025-02-20"), effective_on=day("2025-03-01"), plan=week)
    study = study_of(
        anchor("2024-11-30"),
        entry("contact", VisitContact(seen_on=day("2025-02-16")), "2025-02-16"),
        amendments=[amendment],
    )
    first, second, *_ = visits_known(study, local("2025-02-21"))
    assert (first.opens, first.closes, first.slot_ends) == (day("2025-02-14"), day("2025-03-14"), day("2025-05-22"))
    assert (second.opens, second.closes) == (day("2025-05-23"), day("2025-06-06"))
    days = ("2025-02-17", "2025-02-28", "2025-03-01", "2025-03-08", "2025-06-01")
    assert [states(study, local(text))[1] for text in days] == ["done"] * len(days)


def test_extension_makes_no_visit_missed_that_could_not_be_planned() -> None:
    amendment = PlanAmendment(
        at=local("2025-02-20"), effective_on=day("2025-03-01"), plan=PlainPlan(for_months=60, every_months=3)
    )
    visits = visits_known(study_of(anchor("2021-01-15"), amendments=[amendment]), local("2025-03-02"))
    assert [visit.number for visit in visits] == [*range(1, 9), *range(17, 21)]
    assert (visits[8].opens, visits[-1].target) == (day("2025-04-01"), day("2026-01-15"))


def test_death_without_a_date_ends_follow_up_on_the_last_day_known_alive() -> None:
    study = study_of(
        anchor("2025-01-15"),
        entry("alive", ProofOfLife(alive_on=day("2025-08-05")), "2025-08-05"),
        entry("death", DeathReport(died_on=None), "2025-10-01"),
    )
    expected = {number: "missed" if number <= 2 else "not_applicable" for number in ALL_NUMBERS}
    assert states(study, local("2025-10-02")) == expected


def test_death_within_an_absence_goes_before_it() -> None:
    study = study_of(
        anchor("2025-01-15"),
        entry("lost", LossReport(on=day("2025-09-01")), "2025-09-01"),
        entry("back", ReturnReport(on=day("2025-12-20")), "2025-12-20"),
        entry("death", DeathReport(died_on=day("2025-10-10")), "2026-01-10"),
    )
    assert states(study, local("2026-01-11"))[3] == "not_applicable"


def test_closing_of_the_site_ends_follow_up_from_its_day_on() -> None:
    study = study_of(
        anchor("2025-01-15"),
        entry("contact", VisitContact(seen_on=day("2025-04-15")), "2025-04-15"),
        endings=[EndOfActivity(at=local("2025-06-01"), on=day("2025-06-30"), site_id=BERLIN.site_id)],
    )
    assert states(study, local("2025-06-29"))[2] == "planned"
    assert states(study, local("2025-06-30")) == {1: "done", **dict.fromkeys(range(2, 9), "not_applicable")}


def test_early_contact_fills_the_slot_of_its_day_only() -> None:
    study = study_of(
        anchor("2025-01-15"),
        entry("first", VisitContact(seen_on=day("2025-04-20")), "2025-04-20"),
        entry("second", VisitContact(seen_on=day("2025-06-25"), visit=2), "2025-06-25"),
    )
    assert (states(study, local("2025-07-01"))[1], states(study, local("2025-07-01"))[2]) == ("done", "due")


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        (VisitContact(seen_on=day("2025-04-15"), by_registry=True), "planned"),
        (MissedDeclaration(visit=1), "missed"),
    ],
)
def test_registry_letter_is_no_visit_and_a_visit_may_be_declared_missed_before_it_opens(
    fact: PlainFact, state: str
) -> None:
    assert states(study_of(anchor("2025-01-15"), entry("fact", fact, "2025-03-01")), local("2025-03-02"))[1] == state


LATER_COURSE = entry("later", EndOfCourse(ended_on=day("2025-06-20"), course_id="RT2"), "2025-06-20")


def test_later_course_moves_no_visit_by_the_policy_index() -> None:
    study = study_of(anchor("2025-01-15"), LATER_COURSE)
    assert visits_known(study, local("2025-07-01")) == visits_known(study, local("2025-06-01"))


def test_latest_course_moves_the_visits_that_are_not_open() -> None:
    study = study_of(anchor("2025-01-15"), LATER_COURSE, plan=PlainPlan(anchor_policy="latest"))
    visits = visits_known(study, local("2025-07-01"))
    assert (visits[0].opens, visits[0].target) == (day("2025-04-01"), day("2025-04-15"))
    moved = [months_later(day("2025-06-20"), 3 * (number - 1)) for number in range(2, 9)]
    assert [visit.target for visit in visits[1:]] == moved
    assert visits[0].slot_ends == day("2025-09-05")  # the second visit opens on 09-06


def test_course_before_the_anchor_moves_nothing() -> None:
    early = entry("early", EndOfCourse(ended_on=day("2025-01-14"), course_id="RT0"), "2025-01-15")
    study = study_of(anchor("2025-01-15"), early, plan=PlainPlan(anchor_policy="latest"))
    assert visits_known(study, local("2025-02-01"))[0].target == day("2025-04-15")


def test_each_course_has_visits_of_its_own() -> None:
    contacts = (
        entry("both", VisitContact(seen_on=day("2025-10-12")), "2025-10-12"),
        entry("second", VisitContact(seen_on=day("2025-12-20"), course_id="RT2"), "2025-12-20"),
    )
    study = study_of(anchor("2025-01-15"), LATER_COURSE, *contacts, plan=PlainPlan(anchor_policy="per_course"))
    first, second = (states(study, local("2026-02-20"), course) for course in ("RT1", "RT2"))
    assert (first[1], first[3], first[4]) == ("missed", "done", "overdue")
    assert (second[1], second[2]) == ("done_late", "done")
