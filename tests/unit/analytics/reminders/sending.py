"""The reminders of one visit schedule, sent day by day as the rows of each day decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from services.analytics.reminders.steps import SentStep, VisitOnDay, decide
from services.analytics.reminders.working_days import is_working_day
from shared.protocol.protocol import FollowUpPlan, ReminderPlan
from shared.protocol.reminder_steps import AUDIENCES, Audience
from shared.protocol.schedule import PlanPeriod, Visit, planned_visits
from shared.protocol.visit_status import FollowUpEnd, FollowUpEnds, visit_status

PLAN = ReminderPlan()
FOLLOW_UP = FollowUpPlan()
ONE_DAY = timedelta(days=1)


def day(text: str) -> date:
    return date.fromisoformat(text)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a participant, as recorded by a day. Visits are named by their numbers."""

    anchor: date = date(2025, 1, 15)
    contacts: Sequence[date] = ()
    end: FollowUpEnd | None = None
    declared: Mapping[int, date] = field(default_factory=dict)
    declared_missed: frozenset[int] = frozenset()
    snoozed: Mapping[int, date] = field(default_factory=dict)
    acknowledged: frozenset[int] = frozenset()
    scheduled: Mapping[int, date] = field(default_factory=dict)
    site_id: str = "berlin"
    is_current: bool = True

    def visits(self, plan: FollowUpPlan) -> Sequence[Visit]:
        return planned_visits((PlanPeriod(plan),), self.anchor)

    def occasion(self, visit: Visit, today: date) -> VisitOnDay:
        """The visit as its row shows it today."""
        in_slot = sorted(contact for contact in self.contacts if visit.opens <= contact <= visit.slot_ends)
        status = visit_status(
            visit,
            contact_on=in_slot[0] if in_slot else None,
            is_declared_missed=visit.number in self.declared_missed,
            ends=FollowUpEnds(ended=self.end),
            today=today,
        )
        return VisitOnDay(
            visit=visit,
            site_id=self.site_id,
            today=today,
            state=status.state,
            end_reason=self.end.reason if self.end else None,
            is_declared_missed=visit.number in self.declared_missed,
            declared_on=self.declared.get(visit.number),
            scheduled_on=self.scheduled.get(visit.number),
            snoozed_until=self.snoozed.get(visit.number),
            is_acknowledged=visit.number in self.acknowledged,
            is_current=self.is_current,
        )


@dataclass(kw_only=True)
class Outbox:
    """The steps that were sent, in order: the day, the visit, and the step with its audience, site and target."""

    country: str = "DE"
    follow_up: FollowUpPlan = FOLLOW_UP
    reminders: ReminderPlan = PLAN
    sent: list[tuple[date, int, SentStep]] = field(default_factory=list)

    def send(self, facts: Facts, today: date) -> None:
        """Sends the steps that are due by the facts of a day."""
        if not is_working_day(self.country, today):
            return
        for visit in facts.visits(self.follow_up):
            for audience in AUDIENCES:
                decision = decide(facts.occasion(visit, today), self.reminders, self.sent_of(visit.number), audience)
                if decision and decision.reason is None:
                    site = facts.site_id if audience == "site" else "*"
                    self.sent.append((today, visit.number, SentStep(decision.step.name, audience, site, visit.target)))

    def sent_of(self, number: int) -> list[SentStep]:
        return [step for _, visit, step in self.sent if visit == number]

    def run(self, first: str, last: str, facts: Facts | Callable[[date], Facts]) -> Outbox:
        """Sends on each day from the first to the last, both inclusive."""
        today = day(first)
        while today <= day(last):
            self.send(facts(today) if callable(facts) else facts, today)
            today += ONE_DAY
        return self

    def listed(self, number: int | None = None, audience: Audience | None = None) -> list[str]:
        """Returns the steps that were sent, as `04-15 V1 target site`."""
        return [
            f"{today:%m-%d} V{visit} {step.name} {step.audience}"
            for today, visit, step in self.sent
            if number in (None, visit) and audience in (None, step.audience)
        ]


def changing(facts: Facts, *changes: tuple[str, Mapping[str, Any]]) -> Callable[[date], Facts]:
    """Returns the facts of each day: those given, with what each change says from its day on."""

    def on(today: date) -> Facts:
        recorded = facts
        for first_day, members in changes:
            if today >= day(first_day):
                recorded = replace(recorded, **members)
        return recorded

    return on
