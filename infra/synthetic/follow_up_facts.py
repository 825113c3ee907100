"""Draws the follow-up of a synthetic participant: contacts at planned visits, their findings, and the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

from infra.synthetic import probabilities
from infra.synthetic.disease_course import OBSERVATION_MONTHS, DiseaseCourse, Progression
from infra.synthetic.treatment_summary import SimulatedFact, TreatedParticipant
from shared.protocol.protocol import FollowUpPlan
from shared.protocol.schedule import PlanPeriod, Visit, add_months, planned_visits

FOUND_AT_VISIT_WITHIN = timedelta(days=30)
"""A clinic visit finds progression of so long before; other progression leads to a contact of its own."""
EARLY_CONTACT_DAYS = (28, 60)


@dataclass(frozen=True)
class Contact:
    day: date
    visit: int | None = None
    mode: str = "clinic"
    progressions: tuple[Progression, ...] = ()

    @property
    def in_clinic(self) -> bool:
        return self.mode == "clinic"


def draw_contacts(
    rng: Random, participant: TreatedParticipant, disease_course: DiseaseCourse, plan: FollowUpPlan
) -> list[Contact]:
    """Returns the contacts by day; none is before the end of the index course or during a loss to follow-up."""
    ended = participant.index_course and participant.index_course.ended_on
    if not ended:
        return []
    planned = list(_draw_visits(rng, disease_course, planned_visits([PlanPeriod(plan)], ended)))
    if probabilities.draw_bool(rng, probabilities.EARLY_CONTACT_PROBABILITY):
        planned.append(Contact(ended + timedelta(days=rng.randint(*EARLY_CONTACT_DAYS))))
    contacts = [
        contact
        for contact in planned
        if contact.day < disease_course.observed_until and not disease_course.is_lost_on(contact.day)
    ]
    return sorted(_assign_progressions(contacts, disease_course, ended), key=lambda contact: contact.day)


def _draw_visits(rng: Random, disease_course: DiseaseCourse, slots: tuple[Visit, ...]) -> Iterator[Contact]:
    for visit in slots:
        outcome, mode = (
            probabilities.draw(rng, probabilities.VISIT_OUTCOME_WEIGHTS),
            probabilities.draw(rng, probabilities.CONTACT_MODE_WEIGHTS),
        )
        stated_visit = visit.number if probabilities.draw_bool(rng, probabilities.VISIT_NAMED_PROBABILITY) else None
        day_in_window = visit.opens + timedelta(days=round(rng.triangular(0, (visit.closes - visit.opens).days)))
        late_day = probabilities.draw_day_between(rng, visit.closes + timedelta(days=1), visit.slot_ends)
        if outcome in ("in_window", "late"):
            yield Contact(day_in_window if outcome == "in_window" else late_day, stated_visit, mode)


def _assign_progressions(contacts: list[Contact], disease_course: DiseaseCourse, ended: date) -> list[Contact]:
    """Assigns each progression to the visit that finds it; one during the index course is found after its end."""
    by_day = {contact.day: contact for contact in contacts}
    for progression in disease_course.progressions:
        detectable_on = max(progression.occurred_on, ended + timedelta(days=14))
        if detectable_on >= disease_course.observed_until or disease_course.is_lost_on(detectable_on):
            continue
        nearby_days = [
            day
            for day, planned_contact in by_day.items()
            if detectable_on <= day <= detectable_on + FOUND_AT_VISIT_WITHIN and planned_contact.in_clinic
        ]
        day = min(nearby_days, default=detectable_on)
        contact = by_day.get(day, Contact(day))
        by_day[day] = replace(contact, mode="clinic", progressions=(*contact.progressions, progression))
    return list(by_day.values())


def draw_follow_up_facts(
    rng: Random,
    participant: TreatedParticipant,
    disease_course: DiseaseCourse,
    plan: FollowUpPlan,
    contacts: list[Contact],
) -> list[SimulatedFact]:
    """Returns all followup facts of a participant, by day."""
    facts = [
        fact for contact in contacts for fact in _contact_facts(rng, participant, disease_course, contact, contacts)
    ]
    facts += _missed_visit_facts(rng, participant, disease_course, plan, contacts)
    facts += _loss_facts(rng, disease_course)
    facts += _death_facts(rng, participant, disease_course)
    return sorted(facts, key=lambda fact: fact.day)


def _contact_facts(
    rng: Random,
    participant: TreatedParticipant,
    disease_course: DiseaseCourse,
    contact: Contact,
    contacts: list[Contact],
) -> Iterator[SimulatedFact]:
    earlier = [progression for before in contacts if before.day < contact.day for progression in before.progressions]
    data: dict[str, Any] = {"seen_on": contact.day.isoformat(), "mode": contact.mode}
    if contact.visit:
        data["visit"] = contact.visit
    data["performance"] = _draw_performance(rng, participant, disease_course, contact.day)
    if contact.progressions or (contact.in_clinic and probabilities.draw_bool(rng, probabilities.IMAGING_PROBABILITY)):
        data["disease"] = _disease_assessment(rng, participant, contact, earlier)
        data["response"] = "PD" if contact.progressions else probabilities.draw(rng, probabilities.RESPONSE_WEIGHTS)
    data["symptoms"] = [
        {"symptom": symptom, "change": probabilities.draw(rng, probabilities.SYMPTOM_CHANGE_WEIGHTS)}
        for symptom in participant.symptoms
    ]
    yield SimulatedFact("followup", "followup.recorded", data, contact.day)
    for progression in contact.progressions:
        yield SimulatedFact(
            "followup", "disease.progressed", _progression_data(participant, contact, progression), contact.day
        )


def _draw_performance(
    rng: Random, participant: TreatedParticipant, disease_course: DiseaseCourse, day: date
) -> dict[str, Any]:
    """Draws a performance status that declines towards death, most in the last months."""
    if probabilities.draw_bool(rng, probabilities.PERFORMANCE_NOT_REPORTED_PROBABILITY):
        return {"not_reported": "not asked"}
    days_to_death = max(0, (disease_course.dies_on - day).days)
    decline = 10 * sum(days_to_death < within for within in (240, 120, 60, 30)) - probabilities.draw(
        rng, {0: 70, 10: 15, -10: 15}
    )
    return {"scale": "KPS", "value": min(100, max(20, participant.performance - decline))}


def _disease_assessment(
    rng: Random, participant: TreatedParticipant, contact: Contact, earlier: list[Progression]
) -> dict[str, Any]:
    kinds, earlier_kinds = (
        {progression.kind for progression in contact.progressions},
        {progression.kind for progression in earlier},
    )
    lesion_statuses = []
    for course in participant.courses:
        if course.ended_on and course.ended_on <= contact.day:
            lesion_statuses += [
                _lesion_status(rng, participant, lesion, kinds, earlier_kinds, course.stereotactic)
                for lesion in course.lesion_ids
            ]
    started_with = {"regional": "stable" if "N" in participant.lesions else "none"}
    started_with["distant"] = "stable" if participant.stage == "IVC" else "none"
    extent = {
        where: "progressed" if where in kinds else "stable" if where in earlier_kinds else started_with[where]
        for where in ("regional", "distant")
    }
    return {"lesions": list({lesion["lesion_id"]: lesion for lesion in lesion_statuses}.values()), **extent}


def _lesion_status(
    rng: Random, participant: TreatedParticipant, lesion: str, kinds: set[str], earlier_kinds: set[str], ablated: bool
) -> dict[str, str]:
    """Draws a lesion status. Only the first lesion of the index course progresses locally, and only once."""
    is_first_index_lesion = participant.index_course is not None and lesion == participant.index_course.lesion_ids[0]
    necrosis = (
        ablated
        and participant.lesions[lesion][1] == "brain"
        and probabilities.draw_bool(rng, probabilities.NECROSIS_PROBABILITY)
    )
    if is_first_index_lesion and "local" in kinds:
        status = "progressed"
    elif is_first_index_lesion and "local" in earlier_kinds:
        status = "not_assessed"
    else:
        status = (
            "necrosis"
            if necrosis
            else probabilities.draw(rng, {"controlled": 93, "indeterminate": 5, "not_assessed": 2})
        )
    return {"lesion_id": lesion, "status": status, "basis": "imaging"}


def _progression_data(participant: TreatedParticipant, contact: Contact, progression: Progression) -> dict[str, Any]:
    data = {"detected_on": contact.day.isoformat(), "kind": progression.kind, "basis": progression.basis}
    if progression.kind == "local" and participant.index_course:
        return {**data, "lesion_id": participant.index_course.lesion_ids[0]}
    return {**data, "body_site": progression.body_site}


def _missed_visit_facts(
    rng: Random,
    participant: TreatedParticipant,
    disease_course: DiseaseCourse,
    plan: FollowUpPlan,
    contacts: list[Contact],
) -> Iterator[SimulatedFact]:
    """Yields facts on visits without a contact: declared missed, or vital status confirmed by another source."""
    ended = participant.index_course and participant.index_course.ended_on
    for visit in planned_visits([PlanPeriod(plan)], ended) if ended else ():
        declared_on = visit.closes + timedelta(days=rng.randint(1, 30))
        inquired_on = visit.closes + timedelta(days=rng.randint(5, 40))
        is_declared = probabilities.draw_bool(
            rng,
            probabilities.VISIT_OUTCOME_WEIGHTS["declared"]
            / (probabilities.VISIT_OUTCOME_WEIGHTS["declared"] + probabilities.VISIT_OUTCOME_WEIGHTS["missed"]),
        )
        is_inquired, reason_code = (
            probabilities.draw_bool(rng, probabilities.EXTERNAL_INQUIRY_PROBABILITY),
            probabilities.draw(rng, probabilities.MISSED_VISIT_REASON_WEIGHTS),
        )
        source = probabilities.draw(rng, probabilities.VITAL_STATUS_SOURCE_WEIGHTS)
        if any(visit.opens <= contact.day <= visit.slot_ends for contact in contacts):
            continue
        if is_declared and declared_on < disease_course.observed_until and not disease_course.is_lost_on(visit.opens):
            data = {"visit": visit.number, "declared_on": declared_on.isoformat(), "reason_code": reason_code}
            yield SimulatedFact("followup", "followup.visit_missed", data, declared_on)
        if is_inquired and inquired_on < disease_course.observed_until:
            data = {"alive_on": inquired_on.isoformat(), "source": source}
            yield SimulatedFact("followup", "vital_status.confirmed", data, inquired_on)


def _loss_facts(rng: Random, disease_course: DiseaseCourse) -> Iterator[SimulatedFact]:
    if disease_course.lost_on is None:
        return
    data = {
        "on": disease_course.lost_on.isoformat(),
        "reason_code": probabilities.draw(rng, probabilities.LOSS_REASON_WEIGHTS),
    }
    loss = SimulatedFact("followup", "participant.lost", data, disease_course.lost_on)
    yield loss
    if disease_course.resumes_on:
        resumed = {"on": disease_course.resumes_on.isoformat()}
        yield SimulatedFact("followup", "participant.follow_up_resumed", resumed, disease_course.resumes_on, after=loss)


def _death_facts(
    rng: Random, participant: TreatedParticipant, disease_course: DiseaseCourse
) -> Iterator[SimulatedFact]:
    if participant.index_course and disease_course.dies_on > add_months(
        participant.index_course.started_on, OBSERVATION_MONTHS
    ):
        return
    date_by_precision = {
        "day": disease_course.dies_on.isoformat(),
        "month": disease_course.dies_on.isoformat()[:7],
        "unknown": None,
    }
    presumed, precision = (
        probabilities.draw_bool(rng, probabilities.PRESUMED_DEATH_PROBABILITY),
        probabilities.draw(rng, probabilities.DEATH_DATE_PRECISION_WEIGHTS),
    )
    is_lost = disease_course.lost_on is not None and disease_course.resumes_on is None
    follow_up_status = "withdrawn" if participant.withdrawn_on else "lost" if is_lost else "followed"
    if probabilities.draw_bool(rng, probabilities.DEATH_REPORTED_PROBABILITIES[follow_up_status]):
        data = {
            "died_on": date_by_precision[precision],
            "cause": "unknown" if presumed else disease_course.cause,
            "presumed": presumed,
        }
        yield SimulatedFact("followup", "participant.died", data, disease_course.dies_on)
