"""A study's own facts over time: the protocol of a day, active sites, and closures. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from shared.contracts.study import AccrualClosed, ProtocolAmended, SiteActivated, SiteClosed, StudyClosed, StudyOpened
from shared.kernel.clock import Clock
from shared.kernel.errors import parameter_error
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.protocol.protocol import ConsentVersion, Protocol
from shared.protocol.schedule import PlanPeriod

STUDY_CLOSED = ProblemType(
    "study-closed",
    "The study was closed before this day, and takes no later facts. Check the day.",
)
ACCRUAL_CLOSED = ProblemType("accrual-closed", "Accrual was closed before this day. Check the day.")


class ProtocolPeriod(NamedTuple):
    """A protocol with the first and the last day on which it is in force, both inclusive.

    `amendment`: the name of the amendment that it is from; "" for the protocol with which the study was opened.
    """

    protocol: Protocol
    amendment: str
    first_day: date
    last_day: date


def protocols_in_force(study: Record, when: PartialDate) -> list[tuple[Protocol, PartialDate]]:
    """Returns each protocol in force on a day that the date may mean, with those of its days; the latest protocol last.

    Before the first amendment the opened protocol holds; of two amendments on one day, the one stated later.
    """
    spans = [
        (protocol, PartialDate(when.text, max(first, when.earliest), min(last, when.latest)))
        for protocol, _, first, last in protocol_periods(study)
    ]
    return [(protocol, days) for protocol, days in spans if days.earliest <= days.latest]


def protocol_periods(study: Record) -> list[ProtocolPeriod]:
    """Returns the protocols in the order of their days; from the first day to the last of all, one is in force."""
    starts = [(opened.protocol, "", date.min) for opened in study.facts_of(StudyOpened)[:1]]
    starts += [(amended.protocol, amended.amendment, amended.effective_on) for amended in _amendments(study)]
    ends = [*(first - timedelta(days=1) for _, _, first in starts[1:]), date.max]
    # where there is no protocol, there is one end
    periods = [ProtocolPeriod(*start, last_day) for start, last_day in zip(starts, ends, strict=False)]
    return [period for period in periods if period.first_day <= period.last_day]


def follow_up_plans(study: Record) -> tuple[PlanPeriod, ...]:
    """Returns the follow-up plans with the days on which they are in force: from the first day to the last of all."""
    return tuple(PlanPeriod(protocol.follow_up, first, last) for protocol, _, first, last in protocol_periods(study))


def protocol_on(study: Record, day: date) -> Protocol:
    """Returns the protocol in force on a day. The study must have been opened."""
    return protocols_in_force(study, PartialDate.from_day(day))[-1][0]


def amendment_on(study: Record, when: PartialDate) -> str | None:
    """Returns the amendment in force on the last day that the date may mean; None before the first."""
    in_force = [amended.amendment for amended in _amendments(study) if amended.effective_on <= when.latest]
    return in_force[-1] if in_force else None


def _amendments(study: Record) -> list[ProtocolAmended]:
    return sorted(study.facts_of(ProtocolAmended), key=lambda amended: amended.effective_on)


def consent_versions_on(protocol: Protocol, when: PartialDate) -> set[str]:
    """Returns the consent forms valid on a day that the date may mean. The next form's first day ends a form."""
    ordered = sorted(protocol.consent_versions, key=lambda version: version.valid_from)
    following: list[ConsentVersion | None] = [*ordered[1:], None]
    return {
        form.version
        for form, later in zip(ordered, following, strict=True)
        if form.valid_from <= when.latest and (later is None or when.earliest < later.valid_from)
    }


def latest_site_today(clock: Clock, study_id: str, study: Record) -> date:
    """Returns the study's today: the latest calendar day at any of its sites."""
    return study_day(clock, study_id, study, None, clock.now())


def study_day(clock: Clock, study_id: str, study: Record, site_id: str | None, timestamp: datetime) -> date:
    """Returns the study's day at a moment: that of the site, or, for None, the latest of any site.

    A site that the study's facts do not name has the day in UTC.
    """
    zones = {site.time_zone for site in study.facts_of(SiteActivated) if site_id in (None, site.site_id)} or {"UTC"}
    return max(clock.day(study_id, timestamp, zone) for zone in zones)


def find_site(study: Record, site_id: str) -> SiteActivated | None:
    return next((activation for activation in study.facts_of(SiteActivated) if activation.site_id == site_id), None)


def require_site(study: Record, site_id: str | None) -> None:
    """Raises RequestRejected for a filter by an unknown site: an empty list would mean that the site has no facts."""
    if site_id is not None and find_site(study, site_id) is None:
        raise parameter_error("site", "The study has no site of this id. Check the id, or leave `site` out.")


def site_was_active(study: Record, site_id: str, when: PartialDate) -> bool:
    activation = find_site(study, site_id)
    return activation is not None and activation.on <= when.latest and not site_is_closed(study, site_id, when)


def site_is_closed(study: Record, site_id: str, when: PartialDate) -> bool:
    return any(closure.site_id == site_id and closure.on < when.earliest for closure in study.facts_of(SiteClosed))


def closed_before(study: Record, when: PartialDate, member: str) -> Iterator[Objection]:
    for closure in study.stated_of(StudyClosed):
        if closure.fact.on < when.earliest:
            yield STUDY_CLOSED.objection(closure.event_id, f"/{member}")


def accrual_closed_before(study: Record, when: PartialDate, member: str) -> Iterator[Objection]:
    for closure in study.stated_of(AccrualClosed):
        if closure.fact.on < when.earliest:
            yield ACCRUAL_CLOSED.objection(closure.event_id, f"/{member}")
