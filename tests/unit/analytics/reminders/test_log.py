"""The rows of a visit in the log of reminders: when they are made, and how they change until one is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.analytics.reminders.coming_steps import ComingSteps
from services.analytics.reminders.listing.wording import describe_reason
from services.analytics.reminders.log import Reach, Reminder, ScheduledVisit, next_reminder, settle, withdraw
from services.analytics.reminders.steps import PlanFrom, is_same_target
from shared.protocol.protocol import FollowUpPlan, ReminderPlan
from shared.protocol.reminder_steps import Audience
from shared.protocol.visit_status import FollowUpEnd
from tests.unit.analytics.reminders.sending import FOLLOW_UP, PLAN, Facts, day
from tests.unit.analytics.reminders.test_steps_properties import facts as any_facts

EVERYBODY = Reach()
SITE: tuple[Audience, ...] = ("site",)
COMING_STEPS = ComingSteps(plans=[PlanFrom(date.min, PLAN)], countries={"berlin": "DE"})


class Log:
    """The rows of the first visit of a participant, brought up to one day after the other."""

    def __init__(self) -> None:
        self.rows: dict[object, Reminder] = {}
        self.seen_until: date | None = None

    def visit(self, facts: Facts, today: str | date) -> ScheduledVisit:
        on = day(today) if isinstance(today, str) else today
        return ScheduledVisit(
            study_id="study",
            participant_id="K7F2-9QXA-3",
            schedule="index",
            occasion=facts.occasion(facts.visits(FOLLOW_UP)[0], on),
            rows=list(self.rows.values()),
        )

    def settle(
        self, facts: Facts, today: str | date, reach: Reach = EVERYBODY, plan: ReminderPlan = PLAN
    ) -> list[Reminder]:
        visit = self.visit(facts, today)
        changed = settle(visit, {"site": plan, "study": plan}, self.seen_until, reach)
        self.rows |= {row.reminder_id: row for row in changed}
        self.seen_until = visit.occasion.today
        return changed

    def send(self) -> None:
        """Sends everything that is planned."""
        self.rows = {
            key: replace(row, state="sent") if row.state == "planned" else row for key, row in self.rows.items()
        }

    def listed(self) -> list[tuple[str, str, str]]:
        return [(row.step, row.state, row.reason) for row in sorted(self.rows.values(), key=lambda row: row.day)]


def test_a_row_is_made_when_the_day_of_its_step_begins() -> None:
    log = Log()
    log.settle(Facts(), "2025-03-31")
    assert log.listed() == []
    log.settle(Facts(), "2025-04-01")
    assert log.listed() == [("open", "planned", "")]
    assert log.settle(Facts(), "2025-04-02") == []


def test_a_step_of_a_reported_visit_has_a_row_that_says_so() -> None:
    log = Log()
    log.settle(Facts(), "2025-04-01")
    log.send()
    reported = Facts(contacts=[day("2025-04-10")])
    log.settle(reported, "2025-04-14")
    log.settle(reported, "2025-04-15")
    assert log.listed() == [("open", "sent", ""), ("target", "suppressed", "reported")]


def test_a_visit_that_was_reported_before_it_was_known_has_no_rows() -> None:
    log = Log()
    log.settle(Facts(contacts=[day("2025-04-10")]), "2025-04-20")
    assert log.listed() == []


def test_a_suppressed_row_is_planned_again_when_its_reason_is_gone() -> None:
    log, death = Log(), FollowUpEnd(day("2025-04-10"), "died")
    log.settle(Facts(), "2025-04-01")
    log.send()
    log.settle(Facts(end=death), "2025-04-15")
    log.settle(Facts(), "2025-04-22")
    assert log.listed() == [("open", "sent", ""), ("target", "planned", "")]


def test_an_unsent_row_moves_with_a_target_that_moves_by_less_than_a_week() -> None:
    log = Log()
    (row,) = log.settle(Facts(), "2025-04-01")
    (moved,) = log.settle(Facts(anchor=day("2025-01-14")), "2025-04-01")
    assert (moved.reminder_id, moved.target) == (row.reminder_id, day("2025-04-14"))


def test_a_target_that_moves_by_a_week_has_a_row_of_its_own() -> None:
    log = Log()
    (row,) = log.settle(Facts(), "2025-04-01")
    other, moved = sorted(log.settle(Facts(anchor=day("2025-01-08")), "2025-04-01"), key=lambda row: row.state)
    assert (moved.reminder_id, moved.state, moved.reason) == (row.reminder_id, "suppressed", "moved")
    assert (other.target, other.state) == (day("2025-04-08"), "planned")


@pytest.mark.parametrize(
    ("first_plan", "plan", "today", "row"),
    [
        (PLAN, ReminderPlan(steps=("open", "target")), "2025-05-01", ("overdue", "suppressed", "no_schedule")),
        (PLAN, ReminderPlan(escalate_after_days=40), "2025-05-20", ("escalation", "suppressed", "moved")),
    ],
    ids=["the plan drops the step", "the plan moves the step"],
)
def test_unsent_row_of_a_step_that_an_amendment_drops_or_moves_says_so(
    first_plan: ReminderPlan, plan: ReminderPlan, today: str, row: tuple[str, str, str]
) -> None:
    log = Log()
    log.settle(Facts(), today, plan=first_plan)
    log.settle(Facts(), today, plan=plan)
    assert row in log.listed()


def test_reasons_are_true_of_a_step_that_is_gone() -> None:
    assert describe_reason("no_schedule") == "no such visit or step is planned any more"
    assert describe_reason("moved") == "the visit or its step has another day, or the visit another site"


def test_nobody_to_receive_it_is_said_once_its_digest_would_be_composed() -> None:
    log = Log()
    log.settle(Facts(), "2025-04-01", Reach(audiences=()))
    assert log.listed() == [("open", "planned", "")]
    log.settle(Facts(), "2025-04-01", Reach(audiences=(), open_audiences=SITE))
    assert log.listed() == [("open", "suppressed", "no_recipient")]
    assert log.settle(Facts(), "2025-04-02", Reach(audiences=())) == []
    log.settle(Facts(), "2025-04-02")
    assert log.listed() == [("open", "planned", "")]


def test_a_failed_row_is_planned_again_on_the_next_day() -> None:
    log = Log()
    (row,) = log.settle(Facts(), "2025-04-01")
    log.rows[row.reminder_id] = replace(row, state="failed", reason="550")
    assert log.settle(Facts(), "2025-04-01") == []
    log.settle(Facts(), "2025-04-02")
    assert log.listed() == [("open", "planned", "")]


def test_a_row_whose_digest_is_on_its_way_is_left_as_it_is() -> None:
    log = Log()
    (row,) = log.settle(Facts(), "2025-04-01")
    log.rows[row.reminder_id] = replace(row, is_in_flight=True)
    assert log.settle(Facts(contacts=[day("2025-04-01")]), "2025-04-01") == []


def test_the_rows_of_a_visit_that_is_gone_say_why() -> None:
    log = Log()
    rows = log.settle(Facts(), "2025-04-01")
    assert [(row.state, row.reason) for row in withdraw(rows, "no_schedule", day("2025-04-02"))] == [
        ("suppressed", "no_schedule")
    ]
    log.send()
    assert withdraw(list(log.rows.values()), "no_schedule", day("2025-04-02")) == []


def test_the_next_reminder_is_listed_until_it_has_a_row() -> None:
    log = Log()
    coming = next_reminder(log.visit(Facts(), "2025-03-20"), COMING_STEPS)
    assert coming is not None
    assert (coming.step, coming.day, coming.state) == ("open", day("2025-04-01"), "planned")
    (row,) = log.settle(Facts(), "2025-04-01")
    assert row.reminder_id == coming.reminder_id
    assert next_reminder(log.visit(Facts(), "2025-04-01"), COMING_STEPS) is None


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(any_facts, st.integers(1, 25), st.booleans()), min_size=1, max_size=12))
def test_no_two_rows_of_one_step_and_target_are_sent(history: list[tuple[Facts, int, bool]]) -> None:
    log, today = Log(), date(2025, 3, 1)
    for facts, days, is_sent in history:
        today += timedelta(days=days)
        log.settle(facts, today)
        if is_sent:
            log.send()
    sent = [row for row in log.rows.values() if row.state == "sent"]
    for number, row in enumerate(sent):
        for other in sent[number + 1 :]:
            is_same = (row.step, row.audience, row.addressee) == (other.step, other.audience, other.addressee)
            assert not (is_same and is_same_target(row.target, other.target))


@settings(max_examples=80, deadline=None)
@given(any_facts, st.dates(date(2025, 1, 15), date(2025, 9, 1)))
def test_settling_twice_changes_nothing_more(facts: Facts, today: date) -> None:
    log = Log()
    log.settle(facts, today)
    assert facts.visits(FollowUpPlan())
    assert log.settle(facts, today) == []
