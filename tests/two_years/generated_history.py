"""Two years of a study of eight sites in eight time zones, drawn from a seed.

Sites enter facts early, late and out of order, correct and void them, book, snooze and acknowledge visits; participants
die, withdraw, are lost and found, and move; the protocol is amended, and a site closes. The rules of the product admit
every fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from shared.kernel.ids import ALPHABET, check_character, normalize_participant_id
from shared.testing.seeded_random import seeded_random
from tests.two_years.history import (
    INDEX_COURSE,
    ConfirmedDigest,
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
    PlainSite,
    PlanAmendment,
    RecordedFact,
    RecordedParticipant,
    RecordedStudy,
    ReminderSnooze,
    ReturnReport,
    VisitAcknowledgment,
    VisitBooking,
    VisitContact,
)
from tests.two_years.plain_reminders import digest_moment, is_working_day
from tests.two_years.plain_schedule import known_plans, months_later

FIRST_DAY, LAST_DAY = date(2024, 7, 1), date(2026, 6, 30)
OPENED_AT = datetime(2024, 6, 28, 12, tzinfo=UTC)
SITES = (
    PlainSite(site_id="berlin", country="DE", zone="Europe/Berlin"),
    PlainSite(site_id="new-york", country="US", zone="America/New_York"),
    PlainSite(site_id="pune", country="IN", zone="Asia/Kolkata"),
    PlainSite(site_id="lord-howe", country="AU", zone="Australia/Lord_Howe"),
    PlainSite(site_id="sao-paulo", country="BR", zone="America/Sao_Paulo"),
    PlainSite(site_id="cairo", country="EG", zone="Africa/Cairo"),
    PlainSite(site_id="tokyo", country="JP", zone="Asia/Tokyo"),
    PlainSite(site_id="london", country="GB", zone="Europe/London"),
)
LATER_COURSE = "RT2"
CLOSED_SITE = "cairo"
CLOSING = EndOfActivity(at=datetime(2026, 1, 20, 9, 0, 30, tzinfo=UTC), on=date(2026, 2, 15), site_id=CLOSED_SITE)
AMENDMENTS = (
    PlanAmendment(
        at=datetime(2025, 3, 10, 9, 0, 30, tzinfo=UTC),
        effective_on=date(2025, 4, 1),
        plan=PlainPlan(before=7, after=7, digest_at=time(9, 30), escalate_after_days=28),
    ),
    PlanAmendment(  # of the reminders only, stated ahead
        at=datetime(2025, 6, 16, 9, 0, 30, tzinfo=UTC),
        effective_on=date(2025, 7, 9),
        plan=PlainPlan(before=7, after=7, digest_at=time(9, 30), escalate_after_days=10),
    ),
    PlanAmendment(
        at=datetime(2025, 11, 3, 9, 0, 30, tzinfo=UTC),
        effective_on=date(2025, 10, 1),
        plan=PlainPlan(before=14, after=21, digest_at=time(23), steps=("open", "overdue")),
    ),
    PlanAmendment(  # of the reminders only, in force before it was stated
        at=datetime(2026, 3, 3, 9, 0, 30, tzinfo=UTC),
        effective_on=date(2026, 2, 20),
        plan=PlainPlan(before=14, after=21, digest_at=time(7), escalate_after_days=5),
    ),
)


@dataclass
class Life:
    """A participant's life so far: what is recorded on which day, before the instants are drawn."""

    rng: Random
    anchor: date
    first_entry: date
    site: PlainSite
    policy: str
    planned: list[tuple[date, str, PlainFact | None]] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def later(self, day: date, least: int, most: int) -> date:
        return day + timedelta(days=self.rng.randint(least, most))

    def record(self, day: date, name: str, fact: PlainFact | None) -> None:
        self.planned.append((day, name, fact))

    def recorded(self, day: date) -> date:
        """Returns the day on which something of that day is entered at the earliest."""
        return max(day, self.first_entry)

    def course_on(self, day: date) -> str | None:
        """Draws the course of whose visits something is stated on a day; mostly none is named."""
        if self.policy != "per_course" or self.chance(0.5):
            return None
        is_known = any(name == LATER_COURSE and recorded < day for recorded, name, _ in self.planned)
        return self.rng.choice((INDEX_COURSE, LATER_COURSE)) if is_known else INDEX_COURSE

    def drop(self, first: date, last: date = date.max) -> None:
        """Drops what would be recorded from a day to another."""
        self.planned = [entry for entry in self.planned if not first <= entry[0] <= last]

    def contacts(self) -> Iterator[tuple[date, VisitContact]]:
        for day, _, fact in self.planned:
            if isinstance(fact, VisitContact):
                yield day, fact


def draw_contact(life: Life, number: int, target: date) -> None:
    """Draws what becomes of a visit: seen in time, late, early, entered late, declared missed, or nothing."""
    rng, name = life.rng, f"contact-{number}"
    declared = number if life.chance(0.7) else None
    share = rng.random()
    if share < 0.38:
        day, delay = life.later(target, -14, 14), rng.randint(0, 3)
    elif share < 0.48:
        day, delay = life.later(target, 15, 70), rng.randint(0, 3)
    elif share < 0.60:
        day, delay = life.later(target, -14, 14), rng.randint(10, 60)
    elif share < 0.67:
        day, delay, declared = life.later(target, -40, -15), rng.randint(0, 3), number
    elif share < 0.70:
        day, delay, declared = life.later(target, -10, 10), rng.randint(0, 20), None
        life.record(
            life.recorded(day + timedelta(days=delay)), f"letter-{number}", VisitContact(seen_on=day, by_registry=True)
        )
        return
    elif share < 0.76:
        day = life.recorded(life.later(target, -10, 60))
        life.record(day, f"missed-{number}", MissedDeclaration(visit=number, course_id=life.course_on(day)))
        return
    else:
        return
    recorded = life.recorded(day + timedelta(days=delay))
    course_id = life.course_on(recorded)
    life.record(recorded, name, VisitContact(seen_on=day, visit=declared, course_id=course_id))
    if life.chance(0.06):
        life.record(life.later(recorded, 1, 40), name, None)
    elif life.chance(0.06):
        corrected = day - timedelta(days=rng.randint(1, 30))
        life.record(
            life.later(recorded, 1, 40), name, VisitContact(seen_on=corrected, visit=declared, course_id=course_id)
        )


def draw_silences(life: Life, number: int, target: date) -> None:
    """Draws bookings, snoozes and acknowledgments of a visit."""
    rng = life.rng
    for index in range(rng.choice((0, 0, 0, 1, 2))):
        day = life.later(target, -20, 25)
        booking = VisitBooking(visit=number, on=life.later(day, 0, 25), course_id=life.course_on(day))
        life.record(day, f"booking-{number}-{index}", booking)
    for index in range(rng.choice((0, 0, 0, 0, 1, 2))):
        day = life.later(target, -14, 60)
        until = life.later(day, 1, 14) if life.chance(0.6) else None
        snooze = ReminderSnooze(visit=number, until=until, course_id=life.course_on(day))
        life.record(day, f"snooze-{number}-{index}", snooze)
    if life.chance(0.12):
        day = life.later(target, -14, 40)
        acknowledgment = VisitAcknowledgment(visit=number, course_id=life.course_on(day))
        life.record(day, f"acknowledged-{number}", acknowledgment)
        if life.chance(0.2):
            life.record(life.later(day, 1, 20), f"acknowledged-{number}", None)


def draw_course(life: Life) -> None:
    """Draws the end of the index course, and a correction of its day or a void for a few weeks."""
    recorded = life.recorded(life.later(life.anchor, 0, 20))
    life.record(recorded, "course", EndOfCourse(ended_on=life.anchor))
    if life.chance(0.25):
        corrected = life.later(recorded, 5, 150)
        shift = life.rng.choice((-40, -12, -7, -6, -3, 3, 6, 7, 8, 20, 45))
        day = min(life.anchor + timedelta(days=shift), corrected)
        life.record(corrected, "course", EndOfCourse(ended_on=day))
        if life.chance(0.4):
            life.record(life.later(corrected, 3, 60), "course", EndOfCourse(ended_on=life.anchor))
    elif life.chance(0.08):
        voided = life.later(recorded, 20, 200)
        life.record(voided, "course", None)
        life.record(life.later(voided, 1, 30), "course", EndOfCourse(ended_on=life.anchor))


def draw_later_course(life: Life) -> None:
    """Draws a second course, whose start and end are entered together, and a correction of the end."""
    end = life.later(life.anchor, 10, 500)
    recorded = life.recorded(life.later(end, 0, 20))
    life.record(recorded, LATER_COURSE, EndOfCourse(ended_on=end, course_id=LATER_COURSE))
    if life.chance(0.3):
        corrected = end - timedelta(days=life.rng.randint(1, 9))
        fact = EndOfCourse(ended_on=corrected, course_id=LATER_COURSE) if life.chance(0.7) else None
        life.record(life.later(recorded, 1, 60), LATER_COURSE, fact)


def draw_absence(life: Life) -> None:
    lost = life.later(life.first_entry, 60, 500)
    recorded = life.later(lost, 0, 10)
    resumed = life.later(recorded, 20, 200)
    life.drop(recorded, resumed)
    life.record(recorded, "loss", LossReport(on=lost))
    if life.chance(0.7):
        life.record(resumed, "return", ReturnReport(on=resumed))
    else:
        life.drop(recorded + timedelta(days=1))


def draw_end(life: Life) -> None:
    """Draws a death (dated or not, true or voided again), a withdrawal, or the void of the participant."""
    recorded = life.later(life.first_entry, 60, 600)
    share = life.rng.random()
    before = [contact.seen_on for day, contact in life.contacts() if day <= recorded]
    if share < 0.55:
        died = max([life.later(recorded, -40, 0), *before])
        life.record(recorded, "death", DeathReport(died_on=min(died, recorded) if life.chance(0.8) else None))
        if life.chance(0.3):
            voided = life.later(recorded, 1, 30)
            life.drop(recorded + timedelta(days=1), voided)
            life.record(voided, "death", None)
        else:
            life.drop(recorded + timedelta(days=1))
    else:
        life.drop(recorded + timedelta(days=1))
        if share < 0.75:
            life.record(recorded, "withdrawal", EndOfConsent(withdrawn_on=life.later(recorded, -10, 0)))
        elif share < 0.9:
            life.record(recorded, "withdrawal", EndOfConsent(withdrawn_on=recorded, from_data_use=True))
        else:
            life.record(recorded, "void", EnteredInError())


def draw_move(life: Life, others: Sequence[PlainSite]) -> None:
    recorded = life.later(life.first_entry, 40, 600)
    new_site = life.rng.choice([site for site in others if site != life.site])
    life.record(recorded, "move", MoveToSite(to_site=new_site.site_id, on=life.later(recorded, -3, -1)))


def instants(life: Life) -> list[RecordedFact]:
    """Gives every entry an hour of its site's day, in the order of days. An entry of a day keeps its order.

    Nothing is recorded after the last day, nor at a closed site.
    """
    entries: list[RecordedFact] = []
    site = life.site
    for day, name, fact in sorted(life.planned, key=lambda entry: entry[0]):
        if day > LAST_DAY or (site.site_id == CLOSED_SITE and day >= CLOSING.on):
            continue
        earliest = entries[-1].at + timedelta(minutes=1) if entries else OPENED_AT
        minutes = life.rng.randint(6 * 60, 21 * 60)
        local = datetime.combine(day, time(minutes // 60, minutes % 60, 30), ZoneInfo(site.zone))
        entries.append(RecordedFact(at=max(local.astimezone(UTC), earliest), name=name, fact=fact))
        if isinstance(fact, MoveToSite):
            site = next(other for other in SITES if other.site_id == fact.to_site)
    return entries


def without_orphans(entries: Sequence[RecordedFact]) -> list[RecordedFact]:
    """Leaves out what needs a statement that was dropped: corrections, voids, and visits of the later course."""
    stated: set[str] = set()
    kept_entries = []
    for entry in entries:
        needed = LATER_COURSE if getattr(entry.fact, "course_id", None) == LATER_COURSE else entry.name
        if (entry.fact is not None and needed == entry.name) or needed in stated:
            stated.add(entry.name)
            kept_entries.append(entry)
    return kept_entries


def draw_participant(rng: Random, participant_id: str, site: PlainSite, policy: str) -> RecordedParticipant:
    anchor = FIRST_DAY + timedelta(days=rng.randint(-400, 540))
    first_entry = max(FIRST_DAY + timedelta(days=rng.randint(1, 30)), anchor)
    life = Life(rng, anchor, first_entry, site, policy)
    if rng.random() < 0.2:
        draw_move(life, [other for other in SITES if other.site_id != CLOSED_SITE])
    if policy != "index" and rng.random() < 0.5:
        draw_later_course(life)
    for number in range(1, 9):
        target = months_later(anchor, 3 * number)
        draw_contact(life, number, target)
        draw_silences(life, number, target)
    life.planned = [(day, name, fact) for day, name, fact in life.planned if day >= first_entry]
    if rng.random() < 0.15:
        draw_absence(life)
    if rng.random() < 0.35:
        draw_end(life)
    draw_course(life)
    enrolled_at = datetime.combine(first_entry - timedelta(days=2), time(12), UTC)
    return RecordedParticipant(
        participant_id=participant_id,
        site_id=site.site_id,
        enrolled_at=max(enrolled_at, OPENED_AT + timedelta(minutes=5)),
        facts=without_orphans(instants(life)),
    )


def at_night(site: PlainSite, day: date) -> datetime:
    """Returns an instant of a local day at which no digest may go."""
    return datetime.combine(day, time(3), ZoneInfo(site.zone)).astimezone(UTC)


def members(rng: Random) -> list[ConfirmedDigest]:
    """Draws one or two recipients at each site and two for the study; some away for weeks, some confirmed late."""
    digests = []
    for site in SITES:
        for number in range(rng.choice((1, 2))):
            since = at_night(site, OPENED_AT.date() + timedelta(days=rng.choice((1, 1, 1, 40))))
            digest = ConfirmedDigest(member=f"{site.site_id}-{number}", site_id=site.site_id, since=since)
            left = at_night(site, since.date() + timedelta(days=rng.randint(100, 600)))
            if rng.random() < 0.4:
                back = left.date() + timedelta(days=rng.randint(5, 40))
                digests += [replace(digest, until=left), replace(digest, since=left, away_until=back)]
            else:
                digests.append(digest)
    since = OPENED_AT + timedelta(minutes=30)
    digests += [
        ConfirmedDigest(member=f"study-{number}", site_id=None, since=since, hour_site="tokyo") for number in (0, 1)
    ]
    return digests


def draw_number(rng: Random) -> str:
    """Returns a participant number with its check character."""
    body = "".join(rng.choice(ALPHABET) for _ in range(8))
    return normalize_participant_id(body + check_character(body))


def draw_study(seed: int, participants: int = 40, policy: str = "index") -> RecordedStudy:
    """Returns the study of a seed with so many participants. `policy`: which course the visits are counted from."""
    rng = seeded_random(seed)
    return RecordedStudy(
        sites=SITES,
        plan=PlainPlan(anchor_policy=policy),
        amendments=[replace(amendment, plan=replace(amendment.plan, anchor_policy=policy)) for amendment in AMENDMENTS],
        endings=[CLOSING],
        digests=members(rng),
        participants=[
            draw_participant(rng, draw_number(rng), SITES[index % len(SITES)], policy) for index in range(participants)
        ],
    )


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A time in which the worker does not run."""

    since: datetime
    until: datetime


def draw_outages(seed: int, count: int = 16) -> list[Outage]:
    """Draws outages of hours and of days."""
    rng = seeded_random(seed)
    outages = []
    for _ in range(count):
        since = OPENED_AT + timedelta(days=rng.randint(10, 720), minutes=rng.randint(0, 24 * 60))
        hours = rng.choice((3, 6, 9, 14, 26, 75, 190))
        outages.append(Outage(since=since, until=since + timedelta(hours=hours, seconds=7)))
    return outages


def looks(
    study: RecordedStudy, first: date = FIRST_DAY, last: date = LAST_DAY, outages: Sequence[Outage] = ()
) -> list[datetime]:
    """Returns the instants at which the worker looks: after every site's hour, after each fact, and after an outage.

    On days that are none of work at a site, it looks there in every fourth week only.
    """
    instants_of_looks = {entry.at + timedelta(seconds=20) for person in study.participants for entry in person.facts}
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        plan = known_plans(study, datetime.combine(day, time(), UTC)).on(day)
        for site in study.sites:
            if number // 7 % 4 == 0 or is_working_day(site.country, day):
                instants_of_looks.add(digest_moment(site.zone, day, plan.digest_at) + timedelta(seconds=61))
    instants_of_looks |= {outage.until for outage in outages}
    return sorted(now for now in instants_of_looks if not any(outage.since <= now < outage.until for outage in outages))
