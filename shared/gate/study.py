"""What a study's own facts answer when they are asked: the plan of a day, active sites, closed doors. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from shared.contracts.study import AccrualClosed, Closed, Opened, ProtocolAmended, SiteActivated, SiteClosed
from shared.kernel.clock import Clock
from shared.kernel.dates import PartialDate
from shared.kernel.record import Objection, Record
from shared.kernel.refusal import wrong_parameter
from shared.protocol.protocol import ConsentVersion, Protocol


def in_force(study: Record, when: PartialDate) -> list[tuple[Protocol, PartialDate]]:
    """Every protocol in force on a day that the date may mean, with those of its days; the latest protocol last.

    Before the first amendment the opened protocol holds; of two amendments on one day, the one stated later.
    """
    plans = [(date.min, opened.protocol) for opened in study.facts(Opened)[:1]]
    plans += [(amended.effective_on, amended.protocol) for amended in _amendments(study)]
    ends = [*(start - timedelta(days=1) for start, _ in plans[1:]), date.max]
    spans = [
        (plan, PartialDate(when.text, max(start, when.earliest), min(end, when.latest)))
        for (start, plan), end in zip(plans, ends, strict=False)  # where there is no plan, there is one end
    ]
    return [(plan, days) for plan, days in spans if days.earliest <= days.latest]


def plan_on(study: Record, day: date) -> Protocol:
    """The protocol in force on that day, of a study that was opened."""
    return in_force(study, PartialDate.of(day))[-1][0]


def amendment_on(study: Record, when: PartialDate) -> str | None:
    """The amendment in force on the last day that the date may mean."""
    begun = [amended.amendment for amended in _amendments(study) if amended.effective_on <= when.latest]
    return begun[-1] if begun else None


def _amendments(study: Record) -> list[ProtocolAmended]:
    return sorted(study.facts(ProtocolAmended), key=lambda amended: amended.effective_on)


def consent_versions_on(protocol: Protocol, when: PartialDate) -> set[str]:
    """Forms that were valid on a day that the date may mean; each is valid until the next one's first day."""
    ordered = sorted(protocol.consent_versions, key=lambda version: version.valid_from)
    following: list[ConsentVersion | None] = [*ordered[1:], None]
    return {
        form.version
        for form, later in zip(ordered, following, strict=True)
        if form.valid_from <= when.latest and (later is None or when.earliest < later.valid_from)
    }


def latest_today(clock: Clock, study_id: str, study: Record) -> date:
    """The study's today: the latest calendar day at any of its sites."""
    zones = {site.time_zone for site in study.facts(SiteActivated)} or {"UTC"}
    return max(clock.today(study_id, zone) for zone in zones)


def site(study: Record, site_id: str) -> SiteActivated | None:
    return next((active for active in study.facts(SiteActivated) if active.site_id == site_id), None)


def require_site(study: Record, site_id: str | None) -> None:
    """Raise Unacceptable for a filter by a site that the study does not have: an empty answer would mean no facts."""
    if site_id is not None and site(study, site_id) is None:
        raise wrong_parameter("site", "The study has no site of this id.")


def was_active(study: Record, site_id: str, when: PartialDate) -> bool:
    activated = site(study, site_id)
    return activated is not None and activated.on <= when.latest and not is_closed(study, site_id, when)


def is_closed(study: Record, site_id: str, when: PartialDate) -> bool:
    return any(closed.site_id == site_id and closed.on < when.earliest for closed in study.facts(SiteClosed))


def after_closing(study: Record, when: PartialDate, member: str) -> Iterator[Objection]:
    for closed in study.all(Closed):
        if closed.fact.on < when.earliest:
            yield Objection(
                "study-closed",
                "The study was closed before this day, and takes no later facts. Check the day.",
                closed.event_id,
                f"/{member}",
            )


def after_accrual(study: Record, when: PartialDate, member: str) -> Iterator[Objection]:
    for closed in study.all(AccrualClosed):
        if closed.fact.on < when.earliest:
            yield Objection(
                "accrual-closed",
                "Accrual was closed before this day. Check the day.",
                closed.event_id,
                f"/{member}",
            )
