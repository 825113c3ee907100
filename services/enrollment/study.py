"""What may be stated of a study, and what its facts answer when they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from shared.contracts.study import (
    AccrualClosed,
    Closed,
    CutTaken,
    MemberGranted,
    MemberRevoked,
    Opened,
    ProtocolAmended,
    SiteActivated,
    SiteClosed,
)
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection, Record
from shared.protocol.protocol import ConsentVersion, Protocol


def objections(record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    if not record.all(Opened):
        yield Objection("study-not-open", "A study is opened before anything else is stated of it.")
    match stated.fact:
        case Opened() | AccrualClosed() | Closed():
            if record.all(type(stated.fact), but=stated):
                yield Objection("stated-twice", "This is stated of a study once.")
        case SiteActivated(site_id=site):
            if any(other.fact.site_id == site for other in record.all(SiteActivated, but=stated)):
                yield Objection("site-exists", "That site is active already.", member="/site_id")
        case SiteClosed(site_id=site, on=on):
            yield from _site_closed(record, stated, site, on)
        case MemberGranted(role="site", site_id=None):
            yield Objection(
                "site-needed", "A member of a site's staff is granted the role at that site.", member="/site_id"
            )
        case MemberRevoked() as revoked:
            if not any(_same(revoked, granted) for granted in record.facts(MemberGranted)):
                yield Objection("not-granted", "The member was never granted that role there.")
        case CutTaken(name=name):
            if any(other.fact.name == name for other in record.all(CutTaken, but=stated)):
                yield Objection("cut-exists", "There is a cut of that name; it is never replaced.", member="/name")


def gate(record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    """A closed study takes no amendment and no site; a day after its end is no day of the study."""
    if isinstance(stated.fact, ProtocolAmended | SiteActivated):
        for closed in record.all(Closed):
            yield Objection("study-closed", "The study is closed.", closed.event_id)
        return
    on = stated.fact.happened_on
    if on and not isinstance(stated.fact, Closed):
        yield from after_closing(record, on, stated.fact.date_field or "")


def _site_closed(record: Record, stated: Stated[Fact], site: str, on: date) -> Iterator[Objection]:
    if not any(other.site_id == site and other.on <= on for other in record.facts(SiteActivated)):
        yield Objection("site-not-active", "No site of that id was activated on or before that day.", member="/site_id")
    if any(other.fact.site_id == site for other in record.all(SiteClosed, but=stated)):
        yield Objection("stated-twice", "That site is closed already.", member="/site_id")


def _same(one: MemberRevoked, other: MemberGranted) -> bool:
    return (one.member, one.role, one.site_id) == (other.member, other.role, other.site_id)


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


def site(study: Record, site_id: str) -> SiteActivated | None:
    return next((active for active in study.facts(SiteActivated) if active.site_id == site_id), None)


def was_active(study: Record, site_id: str, when: PartialDate) -> bool:
    activated = site(study, site_id)
    return activated is not None and activated.on <= when.latest and not is_closed(study, site_id, when)


def is_closed(study: Record, site_id: str, when: PartialDate) -> bool:
    return any(closed.site_id == site_id and closed.on < when.earliest for closed in study.facts(SiteClosed))


def after_closing(study: Record, when: PartialDate, member: str) -> Iterator[Objection]:
    for closed in study.all(Closed):
        if closed.fact.on < when.earliest:
            yield Objection("study-closed", "The study was closed before that day.", closed.event_id, f"/{member}")


def after_accrual(study: Record, when: PartialDate, member: str) -> Iterator[Objection]:
    for closed in study.all(AccrualClosed):
        if closed.fact.on < when.earliest:
            yield Objection("accrual-closed", "Accrual was closed before that day.", closed.event_id, f"/{member}")
