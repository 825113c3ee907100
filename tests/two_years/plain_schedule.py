"""Visits, windows and states by the rules of the schedule, written plainly and slowly from their text alone.

The rules are V1 to V13 and the truth table of the study's design.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.two_years.history import (
    INDEX_COURSE,
    DeathReport,
    EndOfActivity,
    EndOfConsent,
    EndOfCourse,
    EnteredInError,
    LossReport,
    MissedDeclaration,
    MoveToSite,
    PlainFact,
    PlainPlan,
    PlanAmendment,
    ProofOfLife,
    RecordedFact,
    RecordedParticipant,
    RecordedStudy,
    ReminderSnooze,
    ReturnReport,
    VisitAcknowledgment,
    VisitBooking,
    VisitContact,
)

ONE_DAY = timedelta(days=1)
OF_THE_INDEX_COURSE = "index"


@dataclass(frozen=True, kw_only=True)
class PlainVisit:
    """A visit with its window; the slot reaches from `opens` to `slot_ends`. All days are inclusive."""

    number: int
    opens: date
    target: date
    closes: date
    slot_ends: date


@dataclass(frozen=True, kw_only=True)
class PlansKnown:
    """The plan of the opened study and the amendments that are recorded by an instant."""

    opened: PlainPlan
    amendments: tuple[PlanAmendment, ...]

    def on(self, day: date) -> PlainPlan:
        """Returns the plan in force: of the last amendment that takes effect on or before the day."""
        plan = self.opened
        for amendment in sorted(self.amendments, key=lambda amendment: (amendment.effective_on, amendment.at)):
            if amendment.effective_on <= day:
                plan = amendment.plan
        return plan

    @property
    def last_number(self) -> int:
        plans = [self.opened, *(amendment.plan for amendment in self.amendments)]
        return max(plan.for_months for plan in plans) // self.opened.every_months


@dataclass(frozen=True, kw_only=True)
class ParticipantKnown:
    """A participant as the facts recorded by an instant show them, on the day that it is at the current site."""

    participant_id: str
    site_id: str
    today: date
    facts: Sequence[RecordedFact]
    """Standing facts in the order in which each was first stated."""
    endings: Sequence[EndOfActivity]

    def of(self, kind: type[PlainFact]) -> list[PlainFact]:
        return [entry.fact for entry in self.facts if isinstance(entry.fact, kind)]

    @property
    def excluded(self) -> bool:
        withdrawn = [fact for entry in self.facts if isinstance(fact := entry.fact, EndOfConsent)]
        return bool(self.of(EnteredInError)) or any(fact.from_data_use for fact in withdrawn)

    @property
    def course_ends(self) -> dict[str, date]:
        """The ends of the courses, by course."""
        ends = [fact for entry in self.facts if isinstance(fact := entry.fact, EndOfCourse)]
        return {end.course_id: end.ended_on for end in ends}

    def for_schedule(self, name: str) -> ParticipantKnown:
        """Returns the participant with what counts in a schedule: all but what is stated of visits of another one."""
        if name == OF_THE_INDEX_COURSE:
            return self
        facts = [entry for entry in self.facts if _names_course(entry.fact) in (None, name)]
        return replace(self, facts=facts)

    @property
    def contacts(self) -> list[VisitContact]:
        return [fact for entry in self.facts if isinstance(fact := entry.fact, VisitContact)]


@dataclass(frozen=True, kw_only=True)
class PlainSchedule:
    """The visits that are counted from an anchor. `name`: the course, or `index` where there is one schedule."""

    name: str
    anchor: date
    visits: Sequence[PlainVisit]


def _names_course(fact: PlainFact | None) -> str | None:
    """Returns the course whose visit a fact is about; None for facts about no visit, or of visits of every course."""
    match fact:
        case VisitContact() | MissedDeclaration() | VisitBooking() | ReminderSnooze() | VisitAcknowledgment():
            return fact.course_id
        case _:
            return None


@cache
def months_later(day: date, months: int) -> date:
    """Returns the same day of the month so many months later, or the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def known_plans(study: RecordedStudy, now: datetime) -> PlansKnown:
    return PlansKnown(
        opened=study.plan, amendments=tuple(amendment for amendment in study.amendments if amendment.at <= now)
    )


def plan_visits(plans: PlansKnown, target_of: Callable[[int], date]) -> list[PlainVisit]:
    """Returns the visits with these targets by number. Each goes by the plan in force on its target; V2, V3, V4, V6."""
    every = plans.opened.every_months
    visits = []
    for number in range(1, plans.last_number + 1):
        target, next_target = target_of(number), target_of(number + 1)
        plan, next_plan = plans.on(target), plans.on(next_target)
        if number * every > plan.for_months:
            continue
        if (number + 1) * every > next_plan.for_months:  # the last one, as if the schedule went on
            next_plan = plan
        visits.append(
            PlainVisit(
                number=number,
                opens=target - plan.before * ONE_DAY,
                target=target,
                closes=target + plan.after * ONE_DAY,
                slot_ends=next_target - next_plan.before * ONE_DAY - ONE_DAY,
            )
        )
    return visits


@cache
def visits_from(plans: PlansKnown, anchor: date, later_ends: tuple[date, ...] = ()) -> Sequence[PlainVisit]:
    """Returns the visits of an anchor. Each later end of a course moves those that have not opened by then; V12."""
    every = plans.opened.every_months
    targets = {number: months_later(anchor, every * number) for number in range(1, plans.last_number + 2)}
    for end in sorted(later_ends):
        visits = plan_visits(plans, targets.__getitem__)
        opened = max((visit.number for visit in visits if visit.opens <= end), default=0)
        for number in targets:
            if number > opened:
                targets[number] = months_later(end, every * (number - opened))
    return plan_visits(plans, targets.__getitem__)


def schedules(plans: PlansKnown, participant: ParticipantKnown) -> list[PlainSchedule]:
    """Returns the schedules of a participant by the anchor policy."""
    ends, policy = participant.course_ends, plans.opened.anchor_policy
    if policy == "per_course":
        return [PlainSchedule(name=name, anchor=end, visits=visits_from(plans, end)) for name, end in ends.items()]
    anchor = ends.get(INDEX_COURSE)
    if anchor is None:
        return []
    later = tuple(end for name, end in ends.items() if name != INDEX_COURSE and end >= anchor)
    visits = visits_from(plans, anchor, later if policy == "latest" else ())
    return [PlainSchedule(name=OF_THE_INDEX_COURSE, anchor=anchor, visits=visits)]


def standing_facts(entries: Iterable[RecordedFact]) -> list[RecordedFact]:
    """Returns what stands after corrections and voids, in the order in which each fact was first stated."""
    latest: dict[str, RecordedFact] = {}
    for entry in entries:
        latest[entry.name] = entry  # a dict keeps the order of first insertion
    return [entry for entry in latest.values() if entry.fact is not None]


def local_day(now: datetime, zone: str) -> date:
    return now.astimezone(ZoneInfo(zone)).date()


def known_participant(study: RecordedStudy, participant: RecordedParticipant, now: datetime) -> ParticipantKnown | None:
    """Returns the participant as known at an instant, or None before the enrollment."""
    if participant.enrolled_at > now:
        return None
    facts = standing_facts(entry for entry in participant.facts if entry.at <= now)
    moves = [fact for entry in facts if isinstance(fact := entry.fact, MoveToSite)]
    site_id = sorted(moves, key=lambda move: move.on)[-1].to_site if moves else participant.site_id
    return ParticipantKnown(
        participant_id=participant.participant_id,
        site_id=site_id,
        today=local_day(now, study.site(site_id).zone),
        facts=facts,
        endings=[ending for ending in study.endings if ending.at <= now],
    )


def last_day_alive(participant: ParticipantKnown, anchor: date) -> date:
    days = [contact.seen_on for contact in participant.contacts]
    days += [fact.alive_on for entry in participant.facts if isinstance(fact := entry.fact, ProofOfLife)]
    return max([*days, *participant.course_ends.values(), anchor])


def absences(participant: ParticipantKnown) -> list[tuple[date, date | None]]:
    """Returns each loss with the return that follows it, or None."""
    losses = [fact.on for entry in participant.facts if isinstance(fact := entry.fact, LossReport)]
    returns = [fact.on for entry in participant.facts if isinstance(fact := entry.fact, ReturnReport)]
    return [(lost, min((day for day in returns if day >= lost), default=None)) for lost in sorted(losses)]


def end_of_follow_up(participant: ParticipantKnown, anchor: date) -> date | None:
    """Returns E of V9: the earliest of death, withdrawal, loss without return, closing of the site or the study."""
    ends = [lost for lost, returned in absences(participant) if returned is None]
    for entry in participant.facts:
        match entry.fact:
            case DeathReport(died_on=None):
                ends.append(last_day_alive(participant, anchor))
            case DeathReport(died_on=date() as day) | EndOfConsent(withdrawn_on=day):
                ends.append(day)
    closings = [ending.on for ending in participant.endings if ending.site_id in (None, participant.site_id)]
    return min([*ends, *(on for on in closings if on <= participant.today)], default=None)


def days_in_slot(contacts: Iterable[VisitContact], visit: PlainVisit) -> list[date]:
    return sorted(
        contact.seen_on
        for contact in contacts
        if not contact.by_registry and visit.opens <= contact.seen_on <= visit.slot_ends
    )


def missed_declarations(participant: ParticipantKnown) -> Collection[int]:
    return {fact.visit for entry in participant.facts if isinstance(fact := entry.fact, MissedDeclaration)}


def visit_state(participant: ParticipantKnown, visit: PlainVisit, anchor: date) -> str:
    """Returns the state by the first row of the truth table that holds."""
    if days := days_in_slot(participant.contacts, visit):
        return "done" if days[0] <= visit.closes else "done_late"
    end = end_of_follow_up(participant, anchor)
    if end is not None and end <= visit.closes:
        return "not_applicable"
    if any(returned and lost <= visit.closes < returned for lost, returned in absences(participant)):
        return "missed"
    if end is not None:
        return "missed"
    if visit.number in missed_declarations(participant):
        return "missed"
    today = participant.today
    if today < visit.opens:
        return "planned"
    if today <= visit.closes:
        return "due"
    return "overdue" if today <= visit.slot_ends else "missed"
