"""Data queries about follow-up: contacts and their visits, and the disease status at contacts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from services.analytics.queries.case import AnchorFact, Case, QueryFinding, query_rule
from services.analytics.queries.phrasing import ask_exact_date, describe_fact
from services.analytics.wording.phrasing import as_sentence, count_noun
from shared.contracts.enrollment import LesionRegistered
from shared.contracts.follow_up import DiseaseProgressed, FollowUpRecorded, VisitMissed
from shared.contracts.toxicity import ToxicityAssessed
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.partial_date import PartialDate
from shared.protocol.schedule import Visit

PROGRESSION_TOLERANCE = timedelta(days=30)
_NOT_RECORDED = f"no matching progression is recorded within {PROGRESSION_TOLERANCE.days} days"


@query_rule("imprecise_contact")
def imprecise_contact(case: Case) -> Iterator[QueryFinding]:
    """Asks for the exact date of a contact that is known by month or year only."""
    for stated in case.stated(FollowUpRecorded):
        if not stated.fact.seen_on.is_exact:
            yield QueryFinding(ask_exact_date(stated.fact, case.day(stated.fact)), (stated,))


@query_rule("visit_slot_conflict")
def visit_slot_conflict(case: Case) -> Iterator[QueryFinding]:
    """Asks about a contact or toxicity assessment whose date cannot lie in the slot of the visit that it names."""
    dated: list[StatedFact[FollowUpRecorded | ToxicityAssessed]] = [
        *case.stated(FollowUpRecorded),
        *case.stated(ToxicityAssessed),
    ]
    for stated in dated:
        fact, fact_date = stated.fact, stated.fact.happened_on
        if fact.visit is None or fact_date is None:
            continue
        anchor, slots = case.visits(fact.course_id)
        if not any(
            visit.number == fact.visit and _overlaps(fact_date, visit.opens, visit.slot_ends) for visit in slots
        ):
            text = (
                f"{describe_fact(fact)} is recorded as visit {fact.visit}, but "
                f"{_describe_slot_by_date(fact_date, slots)}"
            )
            yield QueryFinding(as_sentence(text), _with_anchor(stated, anchor))


@query_rule("missed_visit_not_planned")
def missed_visit_not_planned(case: Case) -> Iterator[QueryFinding]:
    """Asks about a missed visit with a number that no protocol of the study plans."""
    planned = max(len(period.plan.windows) for period in case.plans)
    for missed in case.stated(VisitMissed):
        if missed.fact.visit > planned:
            plan = f"the protocol plans only {count_noun(planned, 'visit')}"
            yield QueryFinding(f"Visit {missed.fact.visit} is recorded as missed, but {plan}.", (missed,))


@query_rule("visit_missed_though_done")
def visit_missed_though_done(case: Case) -> Iterator[QueryFinding]:
    """Asks about a missed visit for which there is a contact: in its slot, or, without slots, with its number."""
    for missed in case.stated(VisitMissed):
        visit_number, (_, slots) = missed.fact.visit, case.visits(missed.fact.course_id)
        slot = next((visit for visit in slots if visit.number == visit_number), None)
        for contact in case.stated(FollowUpRecorded):
            if case.same_anchor(missed.fact.course_id, contact.fact.course_id) and _takes_place_as(
                case, contact, visit_number, slot
            ):
                text = (
                    f"Visit {visit_number} is recorded as missed, but "
                    f"{describe_fact(contact.fact)} counts as that visit."
                )
                yield QueryFinding(text, (missed, contact))


def _takes_place_as(case: Case, contact: StatedFact[FollowUpRecorded], visit_number: int, slot: Visit | None) -> bool:
    if contact.fact.mode == "registry":
        return False
    if slot is None:
        return contact.fact.visit == visit_number
    return slot.opens <= case.day(contact.fact) <= slot.slot_ends


def _with_anchor(stated: StatedFact[Fact], anchor: AnchorFact | None) -> tuple[StatedFact[Fact], ...]:
    return (stated, anchor[0]) if anchor else (stated,)


def _describe_slot_by_date(fact_date: PartialDate, slots: tuple[Visit, ...]) -> str:
    if not slots:
        return "no visit is scheduled until the end of the course is recorded"
    numbers = [visit.number for visit in slots if _overlaps(fact_date, visit.opens, visit.slot_ends)]
    if numbers:
        return f"its date belongs to visit {' or '.join(map(str, numbers))}"
    return (
        "its date is before the first visit"
        if fact_date.latest < slots[0].opens
        else "its date is after the last visit"
    )


def _overlaps(fact_date: PartialDate, first: date, last: date) -> bool:
    """Returns whether the date can be between these days, both inclusive."""
    return fact_date.earliest <= last and first <= fact_date.latest


@query_rule("local_progression_not_stated")
def local_progression_not_stated(case: Case) -> Iterator[QueryFinding]:
    """Asks about a lesion reported progressed at a contact, without a progression of it recorded within 30 days."""
    registered = {lesion.fact.lesion_id: lesion for lesion in case.stated(LesionRegistered)}
    for contact in case.stated(FollowUpRecorded):
        for name in _progressed_lesion_ids(contact.fact):
            if any(progression.lesion_id == name for progression in _nearby_progressions(case, contact.fact)):
                continue
            facts = (contact, registered[name]) if name in registered else (contact,)
            text = f"{describe_fact(contact.fact)} reports progression of lesion {name}, but {_NOT_RECORDED}"
            yield QueryFinding(as_sentence(text), facts)


@query_rule("regional_progression_not_stated")
def regional_progression_not_stated(case: Case) -> Iterator[QueryFinding]:
    """Asks about regional progression reported at a contact, without one recorded within 30 days."""
    yield from _extent_not_stated(case, "regional")


@query_rule("distant_progression_not_stated")
def distant_progression_not_stated(case: Case) -> Iterator[QueryFinding]:
    """Asks about distant progression reported at a contact, without one recorded within 30 days."""
    yield from _extent_not_stated(case, "distant")


def _extent_not_stated(case: Case, extent: str) -> Iterator[QueryFinding]:
    for contact in case.stated(FollowUpRecorded):
        has_progressed = getattr(contact.fact.disease, extent, None) == "progressed"
        if has_progressed and not any(
            progression.kind == extent for progression in _nearby_progressions(case, contact.fact)
        ):
            text = f"{describe_fact(contact.fact)} reports {extent} progression, but {_NOT_RECORDED}"
            yield QueryFinding(as_sentence(text), (contact,))


@query_rule("response_without_progression")
def response_without_progression(case: Case) -> Iterator[QueryFinding]:
    """Asks about the response PD without progressed disease at the contact or a progression recorded within 30 days."""
    for contact in case.stated(FollowUpRecorded):
        if (
            contact.fact.response == "PD"
            and not _reports_progression(contact.fact)
            and not _nearby_progressions(case, contact.fact)
        ):
            text = (
                f"{describe_fact(contact.fact)} reports the response PD but no progressed disease, and {_NOT_RECORDED}"
            )
            yield QueryFinding(as_sentence(text), (contact,))


@query_rule("lesion_before_it_was_found")
def lesion_before_it_was_found(case: Case) -> Iterator[QueryFinding]:
    """Asks about a contact or progression of a lesion that must be dated before the lesion was found."""
    registered = {lesion.fact.lesion_id: lesion for lesion in case.stated(LesionRegistered)}
    dated_facts: list[StatedFact[FollowUpRecorded | DiseaseProgressed]] = [
        *case.stated(FollowUpRecorded),
        *case.stated(DiseaseProgressed),
    ]
    for stated in dated_facts:
        for name in sorted(_assessed_lesion_ids(stated.fact) & registered.keys()):
            lesion, fact_date = registered[name], stated.fact.happened_on
            if fact_date and fact_date.definitely_before(lesion.fact.found_on):
                text = (
                    f"{describe_fact(stated.fact)} is about lesion {name}, which was found later "
                    f"({lesion.fact.found_on})"
                )
                yield QueryFinding(as_sentence(text), (stated, lesion))


def _assessed_lesion_ids(fact: FollowUpRecorded | DiseaseProgressed) -> set[str]:
    if isinstance(fact, DiseaseProgressed):
        return {fact.lesion_id} if fact.lesion_id else set()
    lesions = fact.disease.lesions if fact.disease else ()
    return {lesion.lesion_id for lesion in lesions if lesion.status != "not_assessed"}


def _progressed_lesion_ids(contact: FollowUpRecorded) -> list[str]:
    lesions = contact.disease.lesions if contact.disease else ()
    return [lesion.lesion_id for lesion in lesions if lesion.status == "progressed"]


def _reports_progression(contact: FollowUpRecorded) -> bool:
    disease = contact.disease
    if disease is None:
        return False
    return bool(_progressed_lesion_ids(contact)) or "progressed" in (disease.regional, disease.distant)


def _nearby_progressions(case: Case, contact: FollowUpRecorded) -> list[DiseaseProgressed]:
    """Returns the progressions whose date can lie within 30 days of the contact."""
    first, last = contact.seen_on.earliest - PROGRESSION_TOLERANCE, contact.seen_on.latest + PROGRESSION_TOLERANCE
    return [
        progression
        for progression in case.record.facts_of(DiseaseProgressed)
        if _overlaps(progression.detected_on, first, last)
    ]
