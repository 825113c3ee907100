"""The log of reminders: how the rows of a visit follow from its current steps and from what was sent. Pure.

A row is planned when the day of its step begins, and may be suppressed and planned again until it is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from typing import Literal
from uuid import UUID, uuid5

from services.analytics.reminders.coming_steps import ComingSteps
from services.analytics.reminders.steps import (
    Decision,
    SentStep,
    Step,
    VisitOnDay,
    decide,
    is_same_target,
    passed_steps,
    visit_steps,
)
from shared.kernel.ids import QUARTAL_NAMESPACE
from shared.protocol.protocol import ReminderPlan
from shared.protocol.reminder_steps import AUDIENCES, Audience, Reason, StepName

STUDY_ADDRESSEE = "*"
ReminderState = Literal["planned", "sent", "suppressed", "failed"]
PASSING_REASONS: frozenset[str] = frozenset({"snoozed", "scheduled", "no_recipient", "not_current"})
"""Reasons that end as days pass, although nothing more is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A row of the log: one step of a visit, for one audience and target.

    `schedule`: the course whose visits are meant, or `index`. `addressee`: the site that is reminded, or `*` for the
    audience `study`. `site_id`: the site that followed the participant at the last change. `day`: the first day of the
    step. `reason`: of a suppressed one; of a failed one the code; "" for others. `changed_on`: the day at the site.
    `is_in_flight`: whether a digest with it was composed whose outcome is not known.
    """

    reminder_id: UUID
    study_id: str
    participant_id: str
    schedule: str
    visit: int
    step: StepName
    audience: Audience
    addressee: str
    site_id: str
    target: date
    day: date
    state: ReminderState
    reason: str = ""
    changed_on: date
    is_in_flight: bool = False

    @property
    def is_final(self) -> bool:
        return self.state == "sent" or self.is_in_flight

    @property
    def is_unsettled(self) -> bool:
        """True if a later day may say something else although nothing is recorded."""
        return self.state in ("planned", "failed") or self.reason in PASSING_REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledVisit:
    """A planned visit of a participant today, and its rows. `schedule`: the course, or `index`."""

    study_id: str
    participant_id: str
    schedule: str
    occasion: VisitOnDay
    rows: Sequence[Reminder]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The audiences that have a recipient today, and those whose digest is composed now."""

    audiences: Collection[Audience] = AUDIENCES
    open_audiences: Collection[Audience] = ()


def settle(
    visit: ScheduledVisit, plans: Mapping[Audience, ReminderPlan], seen_until: date | None, reach: Reach
) -> list[Reminder]:
    """Returns the rows of a visit that are new or changed today.

    `plans`: those in force on the day of each audience's digest. `seen_until`: the last day on which the visits of the
    site were looked at; None for never. Steps whose days began after it have rows even if they are passed over, or not
    sent.
    """
    return [
        row for audience in AUDIENCES for row in _settle_audience(visit, plans[audience], seen_until, reach, audience)
    ]


def is_due(visit: ScheduledVisit, row: Reminder, plan: ReminderPlan) -> bool:
    """Returns whether the row's step is current and nothing suppresses it.

    It does not matter whether other members have received it.
    """
    others = [other for other in visit.rows if other.reminder_id != row.reminder_id]
    decision = decide(visit.occasion, plan, _sent_steps(others), row.audience)
    return decision is not None and decision.reason is None and _is_of(row, decision.step, visit.occasion)


def next_reminder(visit: ScheduledVisit, coming_steps: ComingSteps) -> Reminder | None:
    """Returns the reminder that is sent next if nothing more is recorded, as it will be planned.

    Its day is the earliest on which it is sent. None for a visit that is over, and where a row says so already.
    """
    step = coming_steps.find(visit.occasion, _sent_steps(visit.rows))
    if step is None:
        return None
    addressee = visit.occasion.site_id if step.audience == "site" else STUDY_ADDRESSEE
    return None if _find(visit.rows, step, addressee, visit.occasion) else _new_row(visit, step, addressee)


def withdraw(rows: Sequence[Reminder], reason: Reason, today: date) -> list[Reminder]:
    """Returns the rows that await a visit that no longer exists, suppressed for the reason."""
    return [_suppress(row, reason, today) for row in rows if row.is_unsettled and not row.is_final]


def _settle_audience(
    visit: ScheduledVisit, plan: ReminderPlan, seen_until: date | None, reach: Reach, audience: Audience
) -> Iterator[Reminder]:
    occasion, own = visit.occasion, [row for row in visit.rows if row.audience == audience]
    addressee = occasion.site_id if audience == "site" else STUDY_ADDRESSEE
    decision = decide(occasion, plan, _sent_steps(visit.rows), audience)
    current = _find(own, decision.step, addressee, occasion) if decision else None
    if decision and current:
        if (settled := _settled(current, decision, occasion, reach)) != current:
            yield settled
    elif decision and _has_row(decision, occasion, own, seen_until):
        yield _settled(_new_row(visit, decision.step, addressee), decision, occasion, reach)
    for row in own:
        if row is not current and row.is_unsettled and not row.is_final:
            yield _suppress(row, _reason_not_current(row, plan, addressee, occasion), occasion.today)
    if decision and decision.reason is None and seen_until:
        for step in passed_steps(occasion.visit, plan, audience, occasion.today):
            if step.day > seen_until and not _find(own, step, addressee, occasion):
                yield _suppress(_new_row(visit, step, addressee), "superseded", occasion.today)


def _reason_not_current(row: Reminder, plan: ReminderPlan, addressee: str, occasion: VisitOnDay) -> Reason:
    """Returns why a row's step is not the current one: it was replaced, moved, or is in the plan no more."""
    if row.step == "missed":
        return "expired"
    if row.addressee != addressee or not is_same_target(row.target, occasion.visit.target):
        return "moved"
    if any(step.name == row.step for step in passed_steps(occasion.visit, plan, row.audience, occasion.today)):
        return "superseded"
    steps = {(step.name, step.audience) for step in visit_steps(occasion.visit, plan)}
    return "moved" if (row.step, row.audience) in steps else "no_schedule"


def _sent_steps(rows: Sequence[Reminder]) -> list[SentStep]:
    return [SentStep(row.step, row.audience, row.addressee, row.target) for row in rows if row.is_final]


def _find(rows: Sequence[Reminder], step: Step, addressee: str, occasion: VisitOnDay) -> Reminder | None:
    """Returns the row of a step for the addressee and the present target; None if there is none."""
    return next((row for row in rows if row.addressee == addressee and _is_of(row, step, occasion)), None)


def _is_of(row: Reminder, step: Step, occasion: VisitOnDay) -> bool:
    """Returns whether the row is one of the step, for the present target."""
    return row.step == step.name and is_same_target(row.target, occasion.visit.target)


def _has_row(decision: Decision, occasion: VisitOnDay, own: Sequence[Reminder], seen_until: date | None) -> bool:
    """Returns whether a step without a row gets one.

    A step that is sent does, and one of a visit that is awaited. Of a visit that was awaited before, the next step says
    why it no longer is; the steps after it would only repeat that.
    """
    if decision.reason is None or occasion.state in ("due", "overdue"):
        return True
    has_begun = seen_until is not None and decision.step.day > seen_until
    return has_begun and bool(own) and all(row.reason != decision.reason for row in own)


def _settled(row: Reminder, decision: Decision, occasion: VisitOnDay, reach: Reach) -> Reminder:
    """Returns the row as the decision of today has it. A failed one is not planned again on the same day."""
    reason: str = decision.reason or ""
    if not reason and row.audience not in reach.audiences:
        is_known = row.reason == "no_recipient"
        reason = "no_recipient" if is_known or row.audience in reach.open_audiences else ""
    if not reason and row.state == "failed" and row.changed_on == occasion.today:
        return row
    settled = replace(
        row,
        state="suppressed" if reason else "planned",
        reason=reason,
        target=occasion.visit.target,
        day=decision.step.day,
        site_id=occasion.site_id,
    )
    return row if settled == row else replace(settled, changed_on=occasion.today)


def _suppress(row: Reminder, reason: Reason, today: date) -> Reminder:
    return replace(row, state="suppressed", reason=reason, changed_on=today)


def _new_row(visit: ScheduledVisit, step: Step, addressee: str) -> Reminder:
    occasion = visit.occasion
    return Reminder(
        reminder_id=_reminder_id(visit, step, addressee),
        study_id=visit.study_id,
        participant_id=visit.participant_id,
        schedule=visit.schedule,
        visit=occasion.visit.number,
        step=step.name,
        audience=step.audience,
        addressee=addressee,
        site_id=occasion.site_id,
        target=occasion.visit.target,
        day=step.day,
        state="planned",
        changed_on=occasion.today,
    )


def _reminder_id(visit: ScheduledVisit, step: Step, addressee: str) -> UUID:
    """Returns the id of a step's row for a target. One that another target has left behind is not taken again."""
    occasion, earlier_ids = visit.occasion, {row.reminder_id for row in visit.rows}
    parts = (visit.study_id, visit.participant_id, visit.schedule, str(occasion.visit.number), step.name, step.audience)
    name = "/".join(("reminder", *parts, addressee, occasion.visit.target.isoformat()))
    ids = (uuid5(QUARTAL_NAMESPACE, f"{name}/{number}") for number in count())
    return next(reminder_id for reminder_id in ids if reminder_id not in earlier_ids)
