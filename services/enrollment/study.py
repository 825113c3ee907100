"""What may be stated of a study, each fact in the light of the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

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
from shared.gate import values
from shared.gate.study import after_closing
from shared.kernel import zones
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection, Record


def objections(record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    if not record.all(Opened):
        yield Objection("study-not-open", "The study is not open. State study.opened before any other fact of it.")
    match stated.fact:
        case Opened() | AccrualClosed() | Closed():
            if record.all(type(stated.fact), but=stated):
                yield Objection("stated-twice", "This was stated of the study already, and can be stated only once.")
        case SiteActivated(site_id=site):
            if any(other.fact.site_id == site for other in record.all(SiteActivated, but=stated)):
                yield Objection("site-exists", "The site is active already. Give another site_id.", member="/site_id")
        case SiteClosed(site_id=site, on=on):
            yield from _site_closed(record, stated, site, on)
        case MemberGranted(role="site", site_id=None):
            message = "The role site is granted at one site. Give the site_id of the member's site."
            yield Objection("site-needed", message, member="/site_id")
        case MemberRevoked() as revoked:
            if not any(_same(revoked, granted) for granted in record.facts(MemberGranted)):
                message = (
                    "The member was not granted this role at this site. Give the member, role and site_id of the grant."
                )
                yield Objection("not-granted", message)
        case CutTaken(name=name):
            if any(other.fact.name == name for other in record.all(CutTaken, but=stated)):
                message = "The study has a data cut of this name, which is never replaced. Give another name."
                yield Objection("cut-exists", message, member="/name")


def gate(today: date, record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    """A closed study takes no amendment and no site; a day after its end is no day of the study.

    `today` is the study's: a cut of a day to come would count, on each day until then, something else.
    """
    yield from values.objections(stated.fact, lambda: (other for other in record.stated if other is not stated))
    match stated.fact:
        case CutTaken(cut_on=cut_on) if cut_on > today:
            message = "The data cut-off is in the future. Give today or an earlier day."
            yield Objection("in-the-future", message, member="/cut_on")
        case SiteActivated() as activated:
            yield from _no_place(activated)
    if isinstance(stated.fact, ProtocolAmended | SiteActivated):
        for closed in record.all(Closed):
            yield Objection(
                "study-closed", "The study is closed. It takes no amendments and no new sites.", closed.event_id
            )
        return
    on = stated.fact.happened_on
    if on and not isinstance(stated.fact, Closed):
        yield from after_closing(record, on, stated.fact.date_field or "")


def _no_place(activated: SiteActivated) -> Iterator[Objection]:
    """A site's days follow the clock of a place, and its zone is never changed.

    Whether the zone is one of the country is not asked: territories have zones and codes of their own in the tables
    (Reunion, Puerto Rico, Hong Kong), and their sites are right to name the country that they belong to.
    """
    if activated.time_zone not in zones.places():
        example = zones.suggestion(activated.time_zone) or "Europe/Berlin"
        message = f"This is not the time zone of a place. Give one such as {example}."
        yield Objection("zone-of-no-place", message, member="/time_zone")
    if activated.country not in zones.countries():
        message = (
            "This is not a country code of ISO 3166-1. Give one such as DE; the United Kingdom is GB, and Greece is GR."
        )
        yield Objection("no-such-country", message, member="/country")


def _site_closed(record: Record, stated: Stated[Fact], site: str, on: date) -> Iterator[Objection]:
    if not any(other.site_id == site and other.on <= on for other in record.facts(SiteActivated)):
        message = "No site with this site_id was active on or before this day. Check the site_id and the day."
        yield Objection("site-not-active", message, member="/site_id")
    if any(other.fact.site_id == site for other in record.all(SiteClosed, but=stated)):
        yield Objection("stated-twice", "The site is closed already.", member="/site_id")


def _same(one: MemberRevoked, other: MemberGranted) -> bool:
    return (one.member, one.role, one.site_id) == (other.member, other.role, other.site_id)
