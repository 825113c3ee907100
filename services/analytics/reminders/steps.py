"""The steps at which a visit is reminded of, and the decision whether the current one is sent on a day. Pure.

A step has a day and an audience. Of the steps of a visit and an audience at most one is current on a day: the last one
whose day has come. Only the current step is ever sent, so after an outage or a snooze nobody receives a backlog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from shared.protocol.protocol import ReminderPlan
from shared.protocol.reminder_steps import AUDIENCES, Audience, Reason, StepName
from shared.protocol.schedule import Visit
from shared.protocol.visit_status import EndReason, VisitState, state_by_day

SAME_TARGET_DAYS = 7
"""Targets of a visit that are fewer days apart are one target: the step is not sent again."""
_REPEATS: tuple[StepName, ...] = ("repeat-1", "repeat-2", "repeat-3")
_REPEAT_DAYS = 14
_LATEST_NOTICE = timedelta(days=14)
"""The time after its own day for which a notice of a missed visit is sent, and an escalation is held back."""
_DECLARED_BEFORE = timedelta(days=31)
_ONE_DAY = timedelta(days=1)


class Step(NamedTuple):
    """A step of a visit: the first day on which it is sent, its name and its audience."""

    day: date
    name: StepName
    audience: Audience


class PlanFrom(NamedTuple):
    """A plan of reminders, and the first day on which it is in force."""

    first_day: date
    plan: ReminderPlan


class SentStep(NamedTuple):
    """A step that was sent. `site_id`: the site to which it was sent, or `*` for the audience `study`."""

    name: StepName
    audience: Audience
    site_id: str
    target: date


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitOnDay:
    """A visit as its derived row shows it on a day at the participant's site.

    `state`: its state today. `end_reason`: what ended or interrupted follow-up; a visit that is not awaited has one,
    unless it is reported or its slot has ended.
    `declared_on`: the day of a contact outside the slot that the site takes for this visit. `scheduled_on`: the day of
    the appointment. `snoozed_until`: the first day on which reminders may be sent again. `is_current`: whether the
    rows say all that is known about the participant.
    """

    visit: Visit
    site_id: str
    today: date
    state: VisitState
    end_reason: EndReason | None = None
    is_declared_missed: bool = False
    declared_on: date | None = None
    scheduled_on: date | None = None
    snoozed_until: date | None = None
    is_acknowledged: bool = False
    is_current: bool = True


class Decision(NamedTuple):
    """The decision on the current step of a visit. `reason`: why it is suppressed; None for a step that is sent."""

    step: Step
    reason: Reason | None


@lru_cache(maxsize=1024)  # asked for several times for each visit that is looked at
def visit_steps(visit: Visit, plan: ReminderPlan) -> tuple[Step, ...]:
    """Returns the steps of a visit by day, and of one day in the order in which they replace each other.

    The plan chooses among `open`, `target` and `overdue`; repeats come with `overdue`. A step whose day lies after the
    slot does not exist, but for `missed`, and an escalation comes on the slot's last day at the latest. A visit whose
    window closes with its slot has neither.
    """
    steps = [Step(visit.opens, "open", "site"), Step(visit.target, "target", "site"), *_overdue_steps(visit)]
    names = (*plan.steps, *(_REPEATS if "overdue" in plan.steps else ()))
    steps = [step for step in steps if step.name in names]
    if visit.closes < visit.slot_ends:
        escalated_on = visit.closes + timedelta(days=plan.escalate_after_days)
        steps.append(Step(min(escalated_on, visit.slot_ends), "escalation", "study"))
    missed_on = visit.slot_ends + _ONE_DAY
    steps += [Step(missed_on, "missed", audience) for audience in AUDIENCES]
    return tuple(sorted(steps, key=itemgetter(0)))


def current_step(visit: Visit, plan: ReminderPlan, audience: Audience, today: date) -> Step | None:
    """Returns the last step for the audience whose day has come; None before the first."""
    return next(reversed(_steps_until(visit, plan, audience, today)), None)


def passed_steps(visit: Visit, plan: ReminderPlan, audience: Audience, today: date) -> tuple[Step, ...]:
    """Returns the steps for the audience that the current one replaces, by day."""
    return _steps_until(visit, plan, audience, today)[:-1]


def next_step(
    occasion: VisitOnDay,
    plans: Sequence[PlanFrom],
    sent: Sequence[SentStep],
    audience: Audience,
    working_day: Callable[[date], date] = lambda day: day,
) -> Step | None:
    """Returns the step that is sent next to the audience if nothing more is recorded, with the day on which it is sent.

    Each day goes by the plan that is in force on it. `plans`: in the order of their first days. `working_day` returns
    the first working day from a day on. None for a visit that is over, or without a further step.
    """
    if occasion.state not in ("planned", "due", "overdue"):
        return None
    days = {day for first_day, plan in plans for day in (first_day, *_days_of_change(occasion, plan))}
    for day in sorted({working_day(day) for day in days if day >= occasion.today}):
        in_force = [plan for first_day, plan in plans if first_day <= day]
        state = state_by_day(occasion.visit, day)
        decision = decide(replace(occasion, today=day, state=state, is_current=True), in_force[-1], sent, audience)
        if decision and decision.reason is None:
            return Step(day, decision.step.name, audience)
    return None


def decide(occasion: VisitOnDay, plan: ReminderPlan, sent: Sequence[SentStep], audience: Audience) -> Decision | None:
    """Returns what becomes of the current step of a visit on a working day; None if there is nothing to send.

    `plan`: the reminders of the protocol in force today. `sent`: every step of the visit that was sent. There is
    nothing to send before the first step, after the step was sent for the same target, and after the slot of a visit
    that the audience was never reminded of, or that ended more than 14 days ago.
    """
    step = current_step(occasion.visit, plan, audience, occasion.today)
    if step is None or _was_sent(step, occasion, sent):
        return None
    if step.name == "missed" and not _is_notice_due(step, occasion, sent):
        return None
    return Decision(step, next(_objections(step, occasion), None))


def _days_of_change(occasion: VisitOnDay, plan: ReminderPlan) -> Iterator[date]:
    """Yields today and the days on which a step becomes current, or on which nothing holds it back any longer."""
    yield occasion.today
    for step in visit_steps(occasion.visit, plan):
        yield step.day
        if step.name == "escalation":
            yield step.day + _LATEST_NOTICE
    if occasion.snoozed_until:
        yield occasion.snoozed_until
    if occasion.scheduled_on:
        yield occasion.scheduled_on + _ONE_DAY


def _overdue_steps(visit: Visit) -> Iterator[Step]:
    for number, name in enumerate(("overdue", *_REPEATS)):
        day = visit.closes + timedelta(days=1 + number * _REPEAT_DAYS)
        if day <= visit.slot_ends:
            yield Step(day, name, "site")


def _steps_until(visit: Visit, plan: ReminderPlan, audience: Audience, today: date) -> tuple[Step, ...]:
    return tuple(step for step in visit_steps(visit, plan) if step.audience == audience and step.day <= today)


def _was_sent(step: Step, occasion: VisitOnDay, sent: Sequence[SentStep]) -> bool:
    """Returns whether the step was sent to its audience for a target fewer than 7 days from the present one."""
    return any(
        earlier.name == step.name
        and _reached(step.audience, occasion.site_id, earlier)
        and is_same_target(earlier.target, occasion.visit.target)
        for earlier in sent
    )


def is_same_target(first: date, second: date) -> bool:
    """Returns whether two targets of a visit are fewer than 7 days apart."""
    return abs((first - second).days) < SAME_TARGET_DAYS


def _reached(audience: Audience, site_id: str, earlier: SentStep) -> bool:
    return earlier.audience == audience and (audience == "study" or earlier.site_id == site_id)


def _is_notice_due(step: Step, occasion: VisitOnDay, sent: Sequence[SentStep]) -> bool:
    """Returns whether the audience was reminded of the visit, whose slot ended at most 14 days ago."""
    was_reminded = any(_reached(step.audience, occasion.site_id, earlier) for earlier in sent)
    return was_reminded and occasion.today <= step.day + _LATEST_NOTICE


def _objections(step: Step, occasion: VisitOnDay) -> Iterator[Reason]:
    """Yields the reasons for which the step is not sent, the weightiest first."""
    today = occasion.today
    if not occasion.is_current:
        yield "not_current"
    awaited: tuple[VisitState, ...] = ("missed",) if step.name == "missed" else ("due", "overdue")
    if occasion.state not in awaited:
        yield _row_reason(occasion)
    if occasion.state == "missed" and occasion.is_declared_missed:
        yield "declared_missed"
    if is_declared(occasion):
        yield "declared"
    is_held_at_most = step.name == "escalation" and today >= step.day + _LATEST_NOTICE
    if occasion.snoozed_until and occasion.snoozed_until > today and not is_held_at_most:
        yield "snoozed"
    if occasion.is_acknowledged and step.name in ("target", *_REPEATS):
        yield "acknowledged"
    if occasion.scheduled_on and occasion.scheduled_on >= today and not (is_held_at_most or step.name == "missed"):
        yield "scheduled"


def is_declared(occasion: VisitOnDay) -> bool:
    """Returns whether a contact in the 31 days before the window is, in the site's words, this visit."""
    declared_on, opens = occasion.declared_on, occasion.visit.opens
    return declared_on is not None and opens - _DECLARED_BEFORE <= declared_on < opens


def _row_reason(occasion: VisitOnDay) -> Reason:
    """Returns why a visit is not awaited, from its state."""
    if occasion.state in ("done", "done_late"):
        return "reported"
    if occasion.state == "missed" and occasion.is_declared_missed:
        return "declared_missed"
    if occasion.end_reason is None:
        raise ValueError(f"The visit is {occasion.state}, and nothing says why.")
    return occasion.end_reason
