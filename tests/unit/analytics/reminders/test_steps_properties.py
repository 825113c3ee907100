"""Properties of the reminders of every participant, whatever is recorded and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.reminders.steps import current_step, decide, is_same_target, visit_steps
from services.analytics.reminders.working_days import is_working_day
from shared.protocol.protocol import FollowUpPlan, ReminderPlan, VisitWindow
from shared.protocol.reminder_steps import AUDIENCES
from shared.protocol.schedule import PlanPeriod, planned_visits
from shared.protocol.visit_status import FollowUpEnd
from tests.unit.analytics.reminders.sending import PLAN, Facts, Outbox

FIRST_DAY = date(2025, 1, 15)
DAYS = 240
days = st.integers(0, DAYS).map(lambda offset: FIRST_DAY + timedelta(days=offset))
by_visit = st.dictionaries(st.integers(1, 2), days, max_size=2)
ends = st.none() | st.builds(FollowUpEnd, days, st.sampled_from(["died", "withdrew", "lost"]))
facts = st.builds(
    Facts,
    anchor=st.integers(-20, 20).map(lambda offset: FIRST_DAY + timedelta(days=offset)),
    contacts=st.lists(days, max_size=2),
    end=ends,
    declared=by_visit,
    declared_missed=st.frozensets(st.integers(1, 2)),
    snoozed=by_visit,
    acknowledged=st.frozensets(st.integers(1, 2)),
    scheduled=by_visit,
    site_id=st.sampled_from(["berlin", "rome"]),
)
histories = st.lists(st.tuples(days, facts), min_size=1, max_size=4).map(
    lambda stated: sorted(stated, key=lambda change: change[0])
)
plans = st.builds(
    FollowUpPlan,
    every_months=st.sampled_from([1, 3]),
    window_days=st.builds(VisitWindow, before=st.integers(0, 13), after=st.integers(0, 13)),
)
reminders = st.builds(
    ReminderPlan,
    steps=st.lists(st.sampled_from(["open", "target", "overdue"]), unique=True).map(tuple),
    escalate_after_days=st.integers(1, 60),
)


def run(history: list[tuple[date, Facts]], country: str = "DE", *, skipped: frozenset[date] = frozenset()) -> Outbox:
    outbox, last = Outbox(country=country), FIRST_DAY + timedelta(days=DAYS)
    for number, (first, recorded) in enumerate(history):
        until = history[number + 1][0] if number + 1 < len(history) else last
        for offset in range((until - first).days):
            if (today := first + timedelta(days=offset)) not in skipped:
                outbox.send(recorded, today)
    return outbox


@given(histories)
def test_no_step_is_sent_twice_to_an_audience_for_one_target(history: list[tuple[date, Facts]]) -> None:
    sent = run(history).sent
    for number, (_, visit, step) in enumerate(sent):
        for _, other_visit, other in sent[number + 1 :]:
            same_place = (visit, step.name, step.audience, step.site_id) == (
                other_visit,
                other.name,
                other.audience,
                other.site_id,
            )
            assert not (same_place and is_same_target(step.target, other.target))


@given(histories)
def test_nothing_is_sent_of_a_visit_that_is_reported_or_not_applicable(history: list[tuple[date, Facts]]) -> None:
    for today, number, step in run(history).sent:
        recorded = next(recorded for first, recorded in reversed(history) if first <= today)
        visit = next(visit for visit in recorded.visits(FollowUpPlan()) if visit.number == number)
        expected = {"missed"} if step.name == "missed" else {"due", "overdue"}
        assert recorded.occasion(visit, today).state in expected


@given(histories, st.sampled_from(["DE", "EG", "IL", "AE", "IR", "XX"]))
def test_nothing_is_sent_on_a_day_that_is_no_working_day(history: list[tuple[date, Facts]], country: str) -> None:
    assert all(is_working_day(country, today) for today, _, _ in run(history, country).sent)


@given(facts, ends.filter(bool), st.lists(days, min_size=2, max_size=2, unique=True).map(sorted), days)
def test_an_end_that_is_voided_and_stated_again_changes_nothing_sent_before(
    recorded: Facts, end: FollowUpEnd, changes: list[date], stated: date
) -> None:
    """A death that is voided and restated between two digests sends what a standing death sends."""
    first = min(stated, *changes)
    kept_end = [(FIRST_DAY, recorded), (first, replace(recorded, end=end))]
    restated = [*kept_end, (changes[0], replace(recorded, end=None)), (changes[0], replace(recorded, end=end))]
    restated.sort(key=lambda change: change[0])
    assert run(restated).sent == run(kept_end).sent


@given(facts, st.frozensets(days, max_size=40))
def test_an_outage_leaves_no_backlog(recorded: Facts, outage: frozenset[date]) -> None:
    sent = run([(FIRST_DAY, recorded)], skipped=outage).sent
    per_day = [(today, visit, step.audience) for today, visit, step in sent]
    assert len(per_day) == len(set(per_day))


@given(plans, reminders, days, st.integers(0, 400))
def test_steps_are_in_order_and_within_the_slot(
    plan: FollowUpPlan, reminder_plan: ReminderPlan, anchor: date, offset: int
) -> None:
    for visit in planned_visits((PlanPeriod(plan),), anchor):
        steps = visit_steps(visit, reminder_plan)
        assert [step.day for step in steps] == sorted(step.day for step in steps)
        assert all(visit.opens <= step.day <= visit.slot_ends for step in steps if step.name != "missed")
        today = visit.opens + timedelta(days=offset)
        for audience in AUDIENCES:
            current = current_step(visit, reminder_plan, audience, today)
            come = [step for step in steps if step.audience == audience and step.day <= today]
            assert current == (come[-1] if come else None)


@given(facts, days)
def test_a_participant_whose_rows_are_not_current_is_not_reminded_of(recorded: Facts, today: date) -> None:
    behind = replace(recorded, is_current=False)
    for visit in behind.visits(FollowUpPlan()):
        for audience in AUDIENCES:
            decision = decide(behind.occasion(visit, today), PLAN, [], audience)
            assert decision is None or decision.reason == "not_current"
