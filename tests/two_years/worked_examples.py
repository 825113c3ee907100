"""A short way to state an example of the schedule and to read the digests that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.two_years.history import (
    ConfirmedDigest,
    EndOfActivity,
    EndOfCourse,
    PlainFact,
    PlainPlan,
    PlainSite,
    PlanAmendment,
    RecordedFact,
    RecordedParticipant,
    RecordedStudy,
)
from tests.two_years.plain_reminders import PlainDigest, list_digests
from tests.two_years.plain_schedule import (
    OF_THE_INDEX_COURSE,
    PlainSchedule,
    PlainVisit,
    known_participant,
    known_plans,
    schedules,
    visit_state,
)

BERLIN = PlainSite(site_id="berlin", country="DE", zone="Europe/Berlin")
TOKYO = PlainSite(site_id="tokyo", country="JP", zone="Asia/Tokyo")
ROME = PlainSite(site_id="rome", country="IT", zone="Europe/Rome")
LONG_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


def local(day: str, clock: str = "10:00", zone: str = BERLIN.zone) -> datetime:
    """Returns the instant at which the clock of a zone shows this on a day."""
    return datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), ZoneInfo(zone))


def entry(name: str, fact: PlainFact | None, day: str, clock: str = "10:00") -> RecordedFact:
    return RecordedFact(at=local(day, clock), name=name, fact=fact)


def anchor(day: str, recorded: str | None = None, clock: str = "10:00") -> RecordedFact:
    """States the end of radiotherapy, recorded on that day or another. A second one is a correction."""
    return entry("course", EndOfCourse(ended_on=date.fromisoformat(day)), recorded or day, clock)


def study_of(
    *facts: RecordedFact,
    site: PlainSite = BERLIN,
    other_sites: Sequence[PlainSite] = (),
    plan: PlainPlan | None = None,
    amendments: Sequence[PlanAmendment] = (),
    endings: Sequence[EndOfActivity] = (),
) -> RecordedStudy:
    """Returns a study of one participant, with one recipient at each site and one for the study."""
    sites = (site, *other_sites)
    digests = [
        ConfirmedDigest(member=f"at-{listed.site_id}", site_id=listed.site_id, since=LONG_BEFORE) for listed in sites
    ]
    return RecordedStudy(
        sites=sites,
        plan=plan or PlainPlan(),
        amendments=amendments,
        endings=endings,
        digests=[*digests, ConfirmedDigest(member="of-study", site_id=None, since=LONG_BEFORE)],
        participants=[
            RecordedParticipant(participant_id="P", site_id=site.site_id, enrolled_at=LONG_BEFORE, facts=list(facts))
        ],
    )


def with_number(study: RecordedStudy, participant_id: str) -> RecordedStudy:
    """Returns the study with its participant under a number that the product takes, enrolled in July 2024."""
    participant = replace(
        study.participants[0], participant_id=participant_id, enrolled_at=local("2024-07-01", "09:00")
    )
    return replace(study, participants=[participant])


def mornings(first: str, last: str, *, zones: Iterable[str] = (BERLIN.zone,), clock: str = "08:01") -> list[datetime]:
    """Returns the instant after the digest's hour of every day, in every zone."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    return [local(day.isoformat(), clock, zone) for day in days for zone in zones]


def lines(digests: Iterable[PlainDigest]) -> list[str]:
    """Returns each reminder as `day V1 step audience-or-site`, in the order of sending."""
    return [
        f"{digest.day} V{reminder.visit} {reminder.step} {digest.site_id}"
        for digest in digests
        for reminder in sorted(digest.reminders)
    ]


def sent(study: RecordedStudy, looks: Sequence[datetime], only: str | None = None) -> list[str]:
    """Returns the lines of all digests; of one scope (a site, or `*`), without naming it, where that is given."""
    digests = list_digests(study, looks)
    if only is None:
        return lines(digests)
    return [line.removesuffix(f" {only}") for line in lines(digests) if line.endswith(f" {only}")]


def schedules_known(study: RecordedStudy, now: datetime) -> list[PlainSchedule]:
    participant = known_participant(study, study.participants[0], now)
    assert participant
    return schedules(known_plans(study, now), participant)


def visits_known(study: RecordedStudy, now: datetime) -> list[PlainVisit]:
    """Returns the visits of the only schedule."""
    [schedule] = schedules_known(study, now)
    return list(schedule.visits)


def states(study: RecordedStudy, now: datetime, course_id: str = OF_THE_INDEX_COURSE) -> dict[int, str]:
    """Returns the state of each visit of a schedule at an instant, by number."""
    participant = known_participant(study, study.participants[0], now)
    assert participant
    [schedule] = [schedule for schedule in schedules_known(study, now) if schedule.name == course_id]
    own = participant.for_schedule(course_id)
    return {visit.number: visit_state(own, visit, schedule.anchor) for visit in schedule.visits}
