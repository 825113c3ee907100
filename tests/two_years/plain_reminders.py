"""Digests by the rules of the reminders, written plainly and slowly from their text alone.

Given a recorded study and the instants at which somebody looks, `list_digests` lists every digest: to whom, on which
local day, with which steps. It knows nothing of tables, mail or processes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays

from tests.two_years.history import (
    ConfirmedDigest,
    PlainPlan,
    PlainSite,
    RecordedStudy,
    ReminderSnooze,
    VisitAcknowledgment,
    VisitBooking,
)
from tests.two_years.plain_schedule import (
    ONE_DAY,
    ParticipantKnown,
    PlainVisit,
    PlansKnown,
    known_participant,
    known_plans,
    local_day,
    missed_declarations,
    schedules,
    visit_state,
)

OF_THE_SITE, OF_THE_STUDY = "site", "study"
ALL_SITES = "*"
REPEAT_DAYS = (15, 29, 43)
NEARNESS_DAYS = 7
SNOOZE_DAYS = 14
DECLARED_DAYS = 31
MISSED_NOTICE_DAYS = 14
COMPOSED_AFTER = timedelta(seconds=60)
WINDOW_OF_SENDING = timedelta(hours=10)


@dataclass(frozen=True, kw_only=True)
class PlainStep:
    day: date
    name: str
    audience: str


@dataclass(frozen=True, kw_only=True, order=True)
class PlainReminder:
    """A step of a visit, for an audience, with the target at that time."""

    participant_id: str
    schedule: str
    visit: int
    step: str
    audience: str
    target: date


@dataclass(frozen=True, kw_only=True)
class PlainDigest:
    """A digest to one member about one site, or about all sites (`*`), of one local day.

    `also_open`: by site that it names, how many of its due and overdue visits are not in the digest.
    """

    member: str
    site_id: str
    day: date
    composed_at: datetime
    reminders: frozenset[PlainReminder]
    also_open: Mapping[str, int]


@dataclass(kw_only=True)
class DigestLog:
    """Digests composed so far, and the reminders of each visit that reached an audience: at a site, or `*`."""

    digests: list[PlainDigest] = field(default_factory=list)
    days: set[tuple[str, str, date]] = field(default_factory=set)
    sent: dict[tuple[str, str, str, int], list[PlainReminder]] = field(default_factory=lambda: defaultdict(list))

    def has_digest(self, member: str, scope: str, day: date) -> bool:
        return (member, scope, day) in self.days

    def note(self, digest: PlainDigest, *, is_accepted: bool) -> None:
        self.digests.append(digest)
        self.days.add((digest.member, digest.site_id, digest.day))
        for reminder in digest.reminders if is_accepted else ():
            key = (digest.site_id, reminder.participant_id, reminder.schedule, reminder.visit)
            self.sent[key].append(reminder)


@cache
def is_working_day(country: str, day: date) -> bool:
    """Tells whether it is a working day there. An unknown country works Monday to Friday."""
    try:
        return holidays.country_holidays(country).is_working_day(day)
    except NotImplementedError:
        return day.weekday() < 5


@cache
def digest_moment(zone: str, day: date, digest_at: time) -> datetime:
    """Returns the first instant of the local day at which the clock shows `digest_at` or later, tried minute by minute.

    Raises ValueError if the clock never does on that day.
    """
    instant = datetime.combine(day, digest_at, ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=3)
    for _ in range(6 * 60):
        local = instant.astimezone(ZoneInfo(zone))
        if local.date() == day and local.time() >= digest_at:
            return instant
        instant += timedelta(minutes=1)
    raise ValueError(f"{zone} has no {digest_at} on {day}")


def digest_is_due(site: PlainSite, plans: PlansKnown, now: datetime) -> bool:
    """Tells whether a digest by the hour and the holidays of a site may be composed now."""
    day = local_day(now, site.zone)
    moment = digest_moment(site.zone, day, plans.on(day).digest_at)
    in_window = moment + COMPOSED_AFTER <= now <= moment + WINDOW_OF_SENDING
    return in_window and is_working_day(site.country, day)


@cache
def steps_of(visit: PlainVisit, plan: PlainPlan) -> Sequence[PlainStep]:
    """Returns the steps of a visit in the order of the table."""
    steps = [("open", visit.opens, OF_THE_SITE), ("target", visit.target, OF_THE_SITE)]
    has_overdue = visit.closes < visit.slot_ends
    if has_overdue:
        steps.append(("overdue", visit.closes + ONE_DAY, OF_THE_SITE))
        if "overdue" in plan.steps:
            for number, days in enumerate(REPEAT_DAYS, start=1):
                steps.append((f"repeat-{number}", visit.closes + days * ONE_DAY, OF_THE_SITE))
    steps = [step for step in steps if step[0] in plan.steps or step[0].startswith("repeat-")]
    if has_overdue:
        day = min(visit.closes + plan.escalate_after_days * ONE_DAY, visit.slot_ends)
        steps.append(("escalation", day, OF_THE_STUDY))
    steps = [step for step in steps if step[1] <= visit.slot_ends]
    steps += [("missed", visit.slot_ends + ONE_DAY, audience) for audience in (OF_THE_SITE, OF_THE_STUDY)]
    return [PlainStep(name=name, day=day, audience=audience) for name, day, audience in steps]


def current_step(visit: PlainVisit, plan: PlainPlan, audience: str, today: date) -> PlainStep | None:
    """Returns the last step for the audience whose day has come."""
    if today < visit.opens:
        return None
    current = None
    for step in steps_of(visit, plan):
        if step.audience == audience and step.day <= today and (current is None or step.day >= current.day):
            current = step
    return current


def snoozed_until(participant: ParticipantKnown, visit: PlainVisit, zone: str) -> date | None:
    """Returns the latest day of the standing snoozes of a visit, acknowledgments with a day among them."""
    days = []
    for entry in participant.facts:
        match entry.fact:
            case ReminderSnooze(visit=visit.number, until=until):
                days.append(until or local_day(entry.at, zone) + SNOOZE_DAYS * ONE_DAY)
            case VisitAcknowledgment(visit=visit.number, until=date() as until):
                days.append(until)
    return max(days, default=None)


def is_acknowledged(participant: ParticipantKnown, visit: PlainVisit) -> bool:
    return any(
        isinstance(entry.fact, VisitAcknowledgment) and entry.fact.visit == visit.number for entry in participant.facts
    )


def booked_day(participant: ParticipantKnown, visit: PlainVisit) -> date | None:
    """Returns the day of the booking of a visit that was stated last."""
    days = [
        fact.on
        for entry in participant.facts
        if isinstance(fact := entry.fact, VisitBooking) and fact.visit == visit.number
    ]
    return days[-1] if days else None


def is_declared(participant: ParticipantKnown, visit: PlainVisit) -> bool:
    """Tells whether a contact in the 31 days before the window declares this visit."""
    return any(
        contact.visit == visit.number and visit.opens - DECLARED_DAYS * ONE_DAY <= contact.seen_on < visit.opens
        for contact in participant.contacts
    )


def is_held_back(participant: ParticipantKnown, visit: PlainVisit, step: PlainStep, zone: str) -> bool:
    """Tells whether a snooze, an acknowledgment, a booking or an early contact keeps the step silent: condition 3."""
    today = participant.today
    comes_anyway = step.name == "escalation" and today >= step.day + SNOOZE_DAYS * ONE_DAY
    until = snoozed_until(participant, visit, zone)
    if until is not None and until > today and not comes_anyway:
        return True
    if (step.name == "target" or step.name.startswith("repeat-")) and is_acknowledged(participant, visit):
        return True
    booked = booked_day(participant, visit)
    if booked is not None and booked >= today and not comes_anyway and step.name != "missed":
        return True
    return is_declared(participant, visit)


def wants_step(
    participant: ParticipantKnown, visit: PlainVisit, step: PlainStep, state: str, before: Sequence[PlainReminder]
) -> bool:
    """Tells whether the state of the visit wants the step, and nothing like it was sent: conditions 1 and 2."""
    if step.name == "missed":
        declared_missed = visit.number in missed_declarations(participant)
        too_old = participant.today > step.day + MISSED_NOTICE_DAYS * ONE_DAY
        if state != "missed" or declared_missed or not before or too_old:
            return False
    elif state not in ("due", "overdue"):
        return False
    return not any(
        reminder.step == step.name and abs((reminder.target - visit.target).days) < NEARNESS_DAYS for reminder in before
    )


def due_reminders(
    study: RecordedStudy, log: DigestLog, audience: str, scope: str, *, now: datetime, digest_day: date
) -> frozenset[PlainReminder]:
    """Returns what an audience would be sent now: that of a site, or that of the study (`*`)."""
    plans, reminders = known_plans(study, now), set()
    for recorded in study.participants:
        participant = known_participant(study, recorded, now)
        if participant is None or participant.excluded or scope not in (ALL_SITES, participant.site_id):
            continue
        zone, plan = study.site(participant.site_id).zone, plans.on(digest_day)
        for schedule in schedules(plans, participant):
            own = participant.for_schedule(schedule.name)
            for visit in schedule.visits:
                step = current_step(visit, plan, audience, participant.today)
                if step is None:
                    continue
                state = visit_state(own, visit, schedule.anchor)
                before = log.sent[scope, participant.participant_id, schedule.name, visit.number]
                if wants_step(own, visit, step, state, before) and not is_held_back(own, visit, step, zone):
                    reminders.add(
                        PlainReminder(
                            participant_id=participant.participant_id,
                            schedule=schedule.name,
                            visit=visit.number,
                            step=step.name,
                            audience=audience,
                            target=visit.target,
                        )
                    )
    return frozenset(reminders)


def count_open(study: RecordedStudy, reminders: Collection[PlainReminder], now: datetime) -> dict[str, int]:
    """Returns how many due and overdue visits are not among the reminders, by site of the participants reminded of."""
    plans, named, counts = known_plans(study, now), set[str](), Counter[str]()
    reminded = {(reminder.participant_id, reminder.schedule, reminder.visit) for reminder in reminders}
    for recorded in study.participants:
        participant = known_participant(study, recorded, now)
        if participant is None or participant.excluded:
            continue
        if participant.participant_id in {number for number, _, _ in reminded}:
            named.add(participant.site_id)
        for schedule in schedules(plans, participant):
            own = participant.for_schedule(schedule.name)
            counts[participant.site_id] += sum(
                visit_state(own, visit, schedule.anchor) in ("due", "overdue")
                and (participant.participant_id, schedule.name, visit.number) not in reminded
                for visit in schedule.visits
            )
    return {site_id: counts[site_id] for site_id in sorted(named)}


def recipients(study: RecordedStudy, site_id: str | None, now: datetime) -> list[ConfirmedDigest]:
    return [
        digest
        for digest in study.digests
        if digest.site_id == site_id and digest.since <= now and (digest.until is None or now < digest.until)
    ]


def look(study: RecordedStudy, log: DigestLog, now: datetime, reaches: Callable[[str, date], bool]) -> None:
    """Composes every digest that is due now, and notes what its audience has been sent."""
    plans = known_plans(study, now)
    composed: list[PlainDigest] = []
    for scope in (*(site.site_id for site in study.sites), ALL_SITES):
        audience = OF_THE_STUDY if scope == ALL_SITES else OF_THE_SITE
        for recipient in recipients(study, None if scope == ALL_SITES else scope, now):
            hour_site = recipient.hour_site or study.sites[0].site_id
            site = study.site(hour_site if scope == ALL_SITES else scope)
            day = local_day(now, site.zone)
            is_away = recipient.away_until is not None and day < recipient.away_until
            if is_away or log.has_digest(recipient.member, scope, day) or not digest_is_due(site, plans, now):
                continue
            if reminders := due_reminders(study, log, audience, scope, now=now, digest_day=day):
                composed.append(
                    PlainDigest(
                        member=recipient.member,
                        site_id=scope,
                        day=day,
                        composed_at=now,
                        reminders=reminders,
                        also_open=count_open(study, reminders, now),
                    )
                )
    for digest in composed:
        log.note(digest, is_accepted=reaches(digest.member, digest.day))


def list_digests(
    study: RecordedStudy, looks: Sequence[datetime], reaches: Callable[[str, date], bool] = lambda member, day: True
) -> list[PlainDigest]:
    """Returns every digest in the order of composition.

    `looks` are the instants at which the worker runs; `reaches` tells whether a member's mail of a local day is
    accepted within the hours in which it may go.
    """
    log = DigestLog()
    for now in sorted(looks):
        look(study, log, now, reaches)
    return log.digests
