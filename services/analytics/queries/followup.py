"""Questions about contacts: the visits they are taken for, and the disease that was seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from services.analytics.figures import counted
from services.analytics.queries.case import Anchor, Case, Question, query_rule
from services.analytics.queries.words import named, partial_date, sentence
from shared.contracts.enrollment import LesionRegistered
from shared.contracts.followup import FollowUpRecorded, Progressed, VisitMissed
from shared.contracts.toxicity import Assessed
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact, Stated
from shared.protocol.schedule import Visit, visits

NEAR = timedelta(days=30)
_NOT_RECORDED = f"no matching progression is recorded within {NEAR.days} days"


@query_rule("imprecise_contact")
def imprecise_contact(case: Case) -> Iterator[Question]:
    """A contact is known by month or year only; it is taken for the middle of it."""
    for stated in case.all(FollowUpRecorded):
        if not stated.fact.seen_on.is_exact:
            yield Question(partial_date(stated.fact, case.day(stated.fact)), (stated,))


@query_rule("visit_slot_conflict")
def visit_slot_conflict(case: Case) -> Iterator[Question]:
    """A contact or an assessment is taken for a visit in whose slot its date surely does not lie."""
    dated: list[Stated[FollowUpRecorded | Assessed]] = [*case.all(FollowUpRecorded), *case.all(Assessed)]
    for stated in dated:
        fact, on = stated.fact, stated.fact.happened_on
        if fact.visit is None or on is None or case.is_anchored_later:
            continue
        anchor = case.anchor(fact.course_id)
        slots = _slots(case, anchor)
        if not any(visit.number == fact.visit and _meets(on, visit.opens, visit.slot_ends) for visit in slots):
            text = f"{named(fact)} is recorded as visit {fact.visit}, but {_by_date(on, slots)}"
            yield Question(sentence(text), _with_end(stated, anchor))


@query_rule("missed_visit_not_planned")
def missed_visit_not_planned(case: Case) -> Iterator[Question]:
    """A visit is declared missed that the plan does not have. A contact taken for such a one has no slot."""
    planned = len(case.protocol.follow_up.windows)
    for missed in case.all(VisitMissed):
        if missed.fact.visit > planned:
            plan = f"the protocol plans only {counted(planned, 'visit')}"
            yield Question(f"Visit {missed.fact.visit} is recorded as missed, but {plan}.", (missed,))


@query_rule("visit_missed_though_done")
def visit_missed_though_done(case: Case) -> Iterator[Question]:
    """A visit is declared missed, and a contact lies in its slot, or is declared that visit where there is no slot."""
    for missed in case.all(VisitMissed):
        number, anchor = missed.fact.visit, case.anchor(missed.fact.course_id)
        slot = next((visit for visit in _slots(case, anchor) if visit.number == number), None)
        for contact in case.all(FollowUpRecorded):
            if case.of_one_schedule(missed.fact.course_id, contact.fact.course_id) and _is_done(
                case, contact, number, slot
            ):
                text = f"Visit {number} is recorded as missed, but {named(contact.fact)} counts as that visit."
                yield Question(text, (missed, contact))


def _is_done(case: Case, contact: Stated[FollowUpRecorded], number: int, slot: Visit | None) -> bool:
    if slot is None or case.is_anchored_later:
        return contact.fact.visit == number
    return slot.opens <= case.day(contact.fact) <= slot.slot_ends


def _slots(case: Case, anchor: Anchor | None) -> tuple[Visit, ...]:
    return visits(case.protocol.follow_up, anchor[1]) if anchor else ()


def _with_end(stated: Stated[Fact], anchor: Anchor | None) -> tuple[Stated[Fact], ...]:
    return (stated, anchor[0]) if anchor else (stated,)


def _by_date(on: PartialDate, slots: tuple[Visit, ...]) -> str:
    if not slots:
        return "no visit is scheduled until the end of the course is recorded"
    numbers = [visit.number for visit in slots if _meets(on, visit.opens, visit.slot_ends)]
    if numbers:
        return f"its date belongs to visit {' or '.join(map(str, numbers))}"
    return "its date is before the first visit" if on.latest < slots[0].opens else "its date is after the last visit"


def _meets(on: PartialDate, first: date, last: date) -> bool:
    """May the date lie between these days, both inclusive?"""
    return on.earliest <= last and first <= on.latest


@query_rule("local_progression_not_stated")
def local_progression_not_stated(case: Case) -> Iterator[Question]:
    """A lesion is seen progressed at a contact, and no progression of it is stated within 30 days."""
    registered = {lesion.fact.lesion_id: lesion for lesion in case.all(LesionRegistered)}
    for contact in case.all(FollowUpRecorded):
        for name in _progressed_lesions(contact.fact):
            if any(each.lesion_id == name for each in _progressions(case, contact.fact)):
                continue
            about = (contact, registered[name]) if name in registered else (contact,)
            text = f"{named(contact.fact)} reports progression of lesion {name}, but {_NOT_RECORDED}"
            yield Question(sentence(text), about)


@query_rule("regional_progression_not_stated")
def regional_progression_not_stated(case: Case) -> Iterator[Question]:
    """Regional progression is seen at a contact, and none is stated within 30 days."""
    yield from _extent_not_stated(case, "regional")


@query_rule("distant_progression_not_stated")
def distant_progression_not_stated(case: Case) -> Iterator[Question]:
    """Distant progression is seen at a contact, and none is stated within 30 days."""
    yield from _extent_not_stated(case, "distant")


def _extent_not_stated(case: Case, kind: str) -> Iterator[Question]:
    for contact in case.all(FollowUpRecorded):
        seen = getattr(contact.fact.disease, kind, None) == "progressed"
        if seen and not any(each.kind == kind for each in _progressions(case, contact.fact)):
            text = f"{named(contact.fact)} reports {kind} progression, but {_NOT_RECORDED}"
            yield Question(sentence(text), (contact,))


@query_rule("response_without_progression")
def response_without_progression(case: Case) -> Iterator[Question]:
    """The response is PD, no disease is seen progressed, and no progression is stated within 30 days."""
    for contact in case.all(FollowUpRecorded):
        if (
            contact.fact.response == "PD"
            and not _sees_progression(contact.fact)
            and not _progressions(case, contact.fact)
        ):
            text = f"{named(contact.fact)} reports the response PD but no progressed disease, and {_NOT_RECORDED}"
            yield Question(sentence(text), (contact,))


@query_rule("lesion_before_it_was_found")
def lesion_before_it_was_found(case: Case) -> Iterator[Question]:
    """A lesion is seen, or its progression is stated, surely before the lesion was found."""
    registered = {lesion.fact.lesion_id: lesion for lesion in case.all(LesionRegistered)}
    seen: list[Stated[FollowUpRecorded | Progressed]] = [*case.all(FollowUpRecorded), *case.all(Progressed)]
    for stated in seen:
        for name in sorted(_lesions(stated.fact) & registered.keys()):
            lesion, on = registered[name], stated.fact.happened_on
            if on and on.surely_before(lesion.fact.found_on):
                text = f"{named(stated.fact)} is about lesion {name}, which was found later ({lesion.fact.found_on})"
                yield Question(sentence(text), (stated, lesion))


def _lesions(fact: FollowUpRecorded | Progressed) -> set[str]:
    if isinstance(fact, Progressed):
        return {fact.lesion_id} if fact.lesion_id else set()
    looked_at = fact.disease.lesions if fact.disease else ()
    return {lesion.lesion_id for lesion in looked_at if lesion.status != "not_assessed"}


def _progressed_lesions(contact: FollowUpRecorded) -> list[str]:
    looked_at = contact.disease.lesions if contact.disease else ()
    return [lesion.lesion_id for lesion in looked_at if lesion.status == "progressed"]


def _sees_progression(contact: FollowUpRecorded) -> bool:
    disease = contact.disease
    if disease is None:
        return False
    return bool(_progressed_lesions(contact)) or "progressed" in (disease.regional, disease.distant)


def _progressions(case: Case, contact: FollowUpRecorded) -> list[Progressed]:
    """Progressions that may have been detected within 30 days of the contact."""
    first, last = contact.seen_on.earliest - NEAR, contact.seen_on.latest + NEAR
    return [each for each in case.record.facts(Progressed) if _meets(each.detected_on, first, last)]
