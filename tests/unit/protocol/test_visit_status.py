"""The state of a visit on a day: each row of the table, boundaries included, and what holds for all visits."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol.protocol import FollowUpPlan
from shared.protocol.schedule import PlanPeriod, Visit, planned_visits
from shared.protocol.visit_status import (
    Absence,
    EndReason,
    FollowUpEnd,
    FollowUpEnds,
    VisitState,
    VisitStatus,
    earliest_end,
    standing_loss,
    visit_status,
)

VISITS = planned_visits((PlanPeriod(FollowUpPlan()),), date(2024, 11, 30))
FIRST = VISITS[0]  # 2025-02-14 to 2025-03-14, its slot to 2025-05-15
GOES_ON = FollowUpEnds()


def day(text: str) -> date:
    return date.fromisoformat(text)


def ended(text: str, reason: EndReason = "died") -> FollowUpEnds:
    return FollowUpEnds(ended=FollowUpEnd(day(text), reason))


def closing(text: str, reason: EndReason = "site_closed") -> FollowUpEnds:
    return FollowUpEnds(closing=FollowUpEnd(day(text), reason))


def status(
    today: str,
    *,
    contact: str | None = None,
    declared: bool = False,
    ends: FollowUpEnds = GOES_ON,
    visit: Visit = FIRST,
) -> VisitStatus:
    contact_on = day(contact) if contact else None
    return visit_status(visit, contact_on=contact_on, is_declared_missed=declared, ends=ends, today=day(today))


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
def test_visit_without_a_contact_goes_by_the_day(today: str, state: VisitState) -> None:
    assert status(today) == VisitStatus(state)


def test_next_visit_is_due_on_the_day_after_the_slot() -> None:
    assert status("2025-05-16", visit=VISITS[1]).state == "due"


@pytest.mark.parametrize(
    ("contact", "state"), [("2025-02-14", "done"), ("2025-03-14", "done"), ("2025-03-15", "done_late")]
)
@pytest.mark.parametrize("ends", [GOES_ON, ended("2025-03-20"), closing("2025-03-01")])
def test_visit_with_a_contact_stays_done(contact: str, state: VisitState, ends: FollowUpEnds) -> None:
    assert status("2026-01-01", contact=contact, declared=True, ends=ends) == VisitStatus(state)


@pytest.mark.parametrize("reason", ["died", "withdrew", "lost"])
@pytest.mark.parametrize("on", ["2025-03-05", "2025-03-14"])
def test_visit_whose_window_closes_after_the_end_of_follow_up_is_not_applicable(on: str, reason: EndReason) -> None:
    assert status("2025-01-01", ends=ended(on, reason)) == VisitStatus("not_applicable", reason)


def test_visit_whose_window_closed_before_the_end_of_follow_up_is_missed_at_once() -> None:
    assert status("2025-03-20", ends=ended("2025-03-15")) == VisitStatus("missed")


def test_closing_that_is_to_come_ends_nothing_before_its_day() -> None:
    assert status("2025-02-28", ends=closing("2025-03-01")).state == "due"
    assert status("2025-03-01", ends=closing("2025-03-01")) == VisitStatus("not_applicable", "site_closed")
    assert status("2025-03-19", ends=closing("2025-03-20")).state == "overdue"
    assert status("2025-03-20", ends=closing("2025-03-20")) == VisitStatus("missed")


def test_reason_is_that_of_the_earliest_end() -> None:
    ends = FollowUpEnds(FollowUpEnd(day("2025-03-05"), "died"), FollowUpEnd(day("2025-03-04"), "study_ended"))
    assert status("2025-03-03", ends=ends).reason == "died"
    assert status("2025-03-04", ends=ends).reason == "study_ended"


def test_of_two_ends_on_one_day_the_death_is_named_first() -> None:
    reasons: list[EndReason] = ["study_ended", "site_closed", "lost", "withdrew", "died"]
    computed = earliest_end(FollowUpEnd(day("2025-03-05"), reason) for reason in reasons)
    assert computed == FollowUpEnd(day("2025-03-05"), "died")


def test_visit_of_a_participant_who_was_lost_when_its_window_closed_is_missed() -> None:
    absent = FollowUpEnds(absences=(Absence(day("2025-03-14"), day("2025-03-15")),))
    assert status("2025-01-01", ends=absent) == VisitStatus("missed", "lost")
    found_in_time = FollowUpEnds(absences=(Absence(day("2025-02-20"), day("2025-03-14")),))
    assert status("2025-03-14", ends=found_in_time).state == "due"


def test_visit_that_was_declared_missed_is_missed_from_then_on_unless_it_is_not_applicable() -> None:
    assert status("2025-01-01", declared=True) == VisitStatus("missed", "declared_missed")
    assert status("2025-01-01", declared=True, ends=ended("2025-03-14")).state == "not_applicable"


def test_earliest_loss_without_a_resumption_stands() -> None:
    absences = [Absence(day(on), None) for on in ("2025-05-01", "2025-04-01")]
    assert standing_loss([Absence(day("2025-03-01"), day("2025-03-20")), *absences]) == (day("2025-04-01"), "lost")
    assert standing_loss([]) is None


DAYS = st.dates(date(2024, 10, 1), date(2027, 6, 30))
REASONS = st.sampled_from(["died", "withdrew", "lost"])
CLOSINGS = st.sampled_from(["site_closed", "study_ended"])
ENDS = st.builds(
    FollowUpEnds,
    ended=st.none() | st.builds(FollowUpEnd, DAYS, REASONS),
    closing=st.none() | st.builds(FollowUpEnd, DAYS, CLOSINGS),
    absences=st.lists(
        st.tuples(DAYS, st.integers(0, 300)).map(lambda pair: Absence(pair[0], pair[0] + timedelta(days=pair[1]))),
        max_size=2,
    ).map(tuple),
)
ORDER = ["planned", "due", "overdue", "missed", "not_applicable"]


@given(st.sampled_from(VISITS), st.booleans(), ENDS, DAYS, st.integers(0, 400))
def test_state_never_goes_back_as_days_pass(
    visit: Visit, is_declared_missed: bool, ends: FollowUpEnds, today: date, later: int
) -> None:
    states = [
        visit_status(visit, contact_on=None, is_declared_missed=is_declared_missed, ends=ends, today=on).state
        for on in (today, today + timedelta(days=later))
    ]
    assert ORDER.index(states[0]) <= ORDER.index(states[1])


@given(st.sampled_from(VISITS), st.integers(0, 80), st.booleans(), ENDS, DAYS)
def test_contact_in_the_slot_makes_a_visit_done_whatever_else_is_known(
    visit: Visit, delay: int, is_declared_missed: bool, ends: FollowUpEnds, today: date
) -> None:
    contact_on = min(visit.opens + timedelta(days=delay), visit.slot_ends)
    computed = visit_status(visit, contact_on=contact_on, is_declared_missed=is_declared_missed, ends=ends, today=today)
    assert computed == VisitStatus("done" if contact_on <= visit.closes else "done_late")
