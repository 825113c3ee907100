"""The rules of a study's own facts, each in the light of the others, and their gate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from services.enrollment.rules import follow_up_plan, reminder_plan
from shared.contracts.study import (
    AccrualClosed,
    CutTaken,
    MemberGranted,
    MemberRevoked,
    ProtocolAmended,
    SiteActivated,
    SiteClosed,
    StudyClosed,
    StudyOpened,
)
from shared.gate import value_checks
from shared.gate.study_timeline import closed_before
from shared.kernel import zones
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.record import Record

STUDY_NOT_OPEN = ProblemType(
    "study-not-open",
    "The study is not open. State study.opened before any other fact of it.",
)
SITE_NEEDED = ProblemType(
    "site-needed",
    "The role site is granted at one site. Give the site_id of the member's site.",
)
ALREADY_STATED = ProblemType("stated-twice", "This was stated of the study already, and can be stated only once.")
SITE_EXISTS = ProblemType("site-exists", "The site is active already. Give another site_id.")
NOT_GRANTED = ProblemType(
    "not-granted",
    "The member was not granted this role at this site. Give the member, role and site_id of the grant.",
)
CUT_EXISTS = ProblemType(
    "cut-exists",
    "The study has a data cut of this name, which is never replaced. Give another name.",
)
IN_THE_FUTURE = ProblemType("in-the-future", "The data cut-off is in the future. Give today or an earlier day.")
STUDY_CLOSED = ProblemType("study-closed", "The study is closed. It takes no amendments and no new sites.")
ZONE_OF_NO_PLACE = ProblemType(
    "zone-of-no-place",
    "This is not the time zone of a place. Give one such as {example}.",
)
NO_SUCH_COUNTRY = ProblemType(
    "no-such-country",
    "This is not a country code of ISO 3166-1. Give one such as DE; the United Kingdom is GB, and Greece is GR.",
)
SITE_NOT_ACTIVE = ProblemType(
    "site-not-active",
    "No site with this site_id was active on or before this day. Check the site_id and the day.",
)
SITE_ALREADY_CLOSED = ProblemType("stated-twice", "The site is closed already.")


def objections(record: Record, stated: StatedFact[Fact]) -> Iterator[Objection]:
    if not record.stated_of(StudyOpened):
        yield STUDY_NOT_OPEN.objection()
    match stated.fact:
        case StudyOpened() | AccrualClosed() | StudyClosed():
            yield from ALREADY_STATED.conflicts_with(record.stated_of(type(stated.fact), except_for=stated))
        case SiteActivated(site_id=site_id):
            same = [
                other for other in record.stated_of(SiteActivated, except_for=stated) if other.fact.site_id == site_id
            ]
            yield from SITE_EXISTS.conflicts_with(same, pointer="/site_id")
        case SiteClosed(site_id=site_id, on=closed_on):
            yield from _check_site_closure(record, stated, site_id, closed_on)
        case MemberGranted(role="site", site_id=None):
            yield SITE_NEEDED.objection(pointer="/site_id")
        case MemberRevoked() as revoked:
            if not any(_is_same_grant(revoked, grant) for grant in record.facts_of(MemberGranted)):
                yield NOT_GRANTED.objection()
        case CutTaken(name=name):
            cuts = [other for other in record.stated_of(CutTaken, except_for=stated) if other.fact.name == name]
            yield from CUT_EXISTS.conflicts_with(cuts, pointer="/name")


def gate_objections(today: date, record: Record, stated: StatedFact[Fact]) -> Iterator[Objection]:
    """Refuses amendments and sites of a closed study, facts dated after its end, and plans that do not fit.

    `today` is the study's today. A data cut-off in the future is refused: its figures would change until that day.
    """
    yield from value_checks.objections(
        stated.fact, lambda: (other for other in record.stated_facts if other is not stated)
    )
    yield from follow_up_plan.plan_objections(record, stated.fact)
    yield from reminder_plan.reminder_objections(stated.fact)
    match stated.fact:
        case CutTaken(cut_on=cut_on) if cut_on > today:
            yield IN_THE_FUTURE.objection(pointer="/cut_on")
        case SiteActivated() as activation:
            yield from _check_zone_and_country(activation)
    if isinstance(stated.fact, ProtocolAmended | SiteActivated):
        for closed in record.stated_of(StudyClosed):
            yield STUDY_CLOSED.objection(closed.event_id)
        return
    happened_on = stated.fact.happened_on
    if happened_on and not isinstance(stated.fact, StudyClosed):
        yield from closed_before(record, happened_on, stated.fact.date_field or "")


def _check_zone_and_country(activation: SiteActivated) -> Iterator[Objection]:
    """Requires the time zone of a place, which a site keeps for ever, and a country code.

    The zone is not compared with the country: territories have zones and codes of their own in the tables
    (Reunion, Puerto Rico, Hong Kong), and their sites are right to name the country that they belong to.
    """
    if activation.time_zone not in zones.place_zones():
        example = zones.suggest_zone(activation.time_zone) or "Europe/Berlin"
        yield ZONE_OF_NO_PLACE.objection(pointer="/time_zone", example=example)
    if activation.country not in zones.country_codes():
        yield NO_SUCH_COUNTRY.objection(pointer="/country")


def _check_site_closure(record: Record, stated: StatedFact[Fact], site_id: str, closed_on: date) -> Iterator[Objection]:
    if not any(other.site_id == site_id and other.on <= closed_on for other in record.facts_of(SiteActivated)):
        yield SITE_NOT_ACTIVE.objection(pointer="/site_id")
    closures = [other for other in record.stated_of(SiteClosed, except_for=stated) if other.fact.site_id == site_id]
    yield from SITE_ALREADY_CLOSED.conflicts_with(closures, pointer="/site_id")


def _is_same_grant(revoked: MemberRevoked, granted: MemberGranted) -> bool:
    return (revoked.member, revoked.role, revoked.site_id) == (granted.member, granted.role, granted.site_id)
