"""A study's facts with the instant at which each was recorded, as plain values. No product code is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

INDEX_COURSE = "RT1"


@dataclass(frozen=True, kw_only=True)
class PlainPlan:
    """The visits and reminders that a protocol plans. Lengths are in months or days.

    `anchor_policy`: `index`, `latest` or `per_course`; no amendment changes it.
    """

    every_months: int = 3
    for_months: int = 24
    before: int = 14
    after: int = 14
    digest_at: time = time(8)
    escalate_after_days: int = 21
    steps: tuple[str, ...] = ("open", "target", "overdue")
    anchor_policy: str = "index"


@dataclass(frozen=True, kw_only=True)
class PlanAmendment:
    """A plan that replaces the one before from a day on, and the instant at which that was recorded."""

    at: datetime
    effective_on: date
    plan: PlainPlan


@dataclass(frozen=True, kw_only=True)
class PlainSite:
    """A site, by ISO country code and IANA time zone. Sites are listed in the order of their activation."""

    site_id: str
    country: str
    zone: str


@dataclass(frozen=True, kw_only=True)
class EndOfActivity:
    """The closing of a site, or of the study where no site is named."""

    at: datetime
    on: date
    site_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConfirmedDigest:
    """A member's confirmed subscription: in force from one instant until before another.

    Study-wide members have no site; `hour_site` is the one whose hour and holidays count.
    """

    member: str
    site_id: str | None
    since: datetime
    until: datetime | None = None
    hour_site: str | None = None
    away_until: date | None = None


@dataclass(frozen=True, kw_only=True)
class EndOfCourse:
    """The last fraction of a course. That of the index course is the anchor of the visits."""

    ended_on: date
    course_id: str = INDEX_COURSE


@dataclass(frozen=True, kw_only=True)
class VisitContact:
    """A contact. `visit` is the number that the site declares; `course_id` is that of the visit."""

    seen_on: date
    visit: int | None = None
    course_id: str | None = None
    by_registry: bool = False


@dataclass(frozen=True, kw_only=True)
class MissedDeclaration:
    visit: int
    course_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class VisitBooking:
    visit: int
    on: date
    course_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReminderSnooze:
    """A snooze until a day; without one, until 14 days after the site's day of recording."""

    visit: int
    until: date | None = None
    course_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class VisitAcknowledgment:
    visit: int
    until: date | None = None
    course_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeathReport:
    died_on: date | None


@dataclass(frozen=True, kw_only=True)
class EndOfConsent:
    """A withdrawal. The one from data use takes the participant out of the study."""

    withdrawn_on: date
    from_data_use: bool = False


@dataclass(frozen=True, kw_only=True)
class LossReport:
    on: date


@dataclass(frozen=True, kw_only=True)
class ReturnReport:
    on: date


@dataclass(frozen=True, kw_only=True)
class MoveToSite:
    to_site: str
    on: date


@dataclass(frozen=True, kw_only=True)
class ProofOfLife:
    """Any other dated fact that needs a living participant."""

    alive_on: date


@dataclass(frozen=True, kw_only=True)
class EnteredInError:
    """The participant as a whole is void."""


PlainFact = (
    EndOfCourse
    | VisitContact
    | MissedDeclaration
    | VisitBooking
    | ReminderSnooze
    | VisitAcknowledgment
    | DeathReport
    | EndOfConsent
    | LossReport
    | ReturnReport
    | MoveToSite
    | ProofOfLife
    | EnteredInError
)


@dataclass(frozen=True, kw_only=True)
class RecordedFact:
    """A fact under a name and the instant at which it was recorded.

    A later entry under the same name corrects the fact; one without a fact voids it.
    """

    at: datetime
    name: str
    fact: PlainFact | None


@dataclass(frozen=True, kw_only=True)
class RecordedParticipant:
    """A participant: the site at which they were enrolled, since when, and facts in the order of recording."""

    participant_id: str
    site_id: str
    enrolled_at: datetime
    facts: Sequence[RecordedFact]


@dataclass(frozen=True, kw_only=True)
class RecordedStudy:
    """A study as recorded up to the end of its time."""

    sites: Sequence[PlainSite]
    plan: PlainPlan = field(default_factory=PlainPlan)
    amendments: Sequence[PlanAmendment] = ()
    endings: Sequence[EndOfActivity] = ()
    digests: Sequence[ConfirmedDigest] = ()
    participants: Sequence[RecordedParticipant] = ()

    def site(self, site_id: str) -> PlainSite:
        return next(site for site in self.sites if site.site_id == site_id)
