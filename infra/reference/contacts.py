"""Follow-up of somebody made up: contacts by the plan's visits, what they find, and how following ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

from infra.reference import odds
from infra.reference.outlook import SEEN_FOR_MONTHS, Outlook, Progression
from infra.reference.treated import Happening, Treated
from shared.protocol.protocol import FollowUp
from shared.protocol.schedule import Visit, add_months, visits

FOUND_AT_THE_NEXT_VISIT = timedelta(days=30)
"""Progression this long before a visit to the clinic is found there; else it brings a contact of its own."""
ACUTE = (28, 60)


@dataclass(frozen=True)
class Contact:
    day: date
    visit: int | None = None
    mode: str = "clinic"
    found: tuple[Progression, ...] = ()

    @property
    def in_clinic(self) -> bool:
        return self.mode == "clinic"


def contacts(rng: Random, treated: Treated, outlook: Outlook, plan: FollowUp) -> list[Contact]:
    """Every contact that takes place, by day; none before the end of the index course, none while lost."""
    ended = treated.index and treated.index.ended
    if not ended:
        return []
    planned = list(_visits(rng, outlook, visits(plan, ended)))
    if odds.happens(rng, odds.COMES_BEFORE_THE_FIRST_VISIT):
        planned.append(Contact(ended + timedelta(days=rng.randint(*ACUTE))))
    attended = [each for each in planned if each.day < outlook.until and not outlook.away(each.day)]
    return sorted(_with_progressions(attended, outlook, ended), key=lambda contact: contact.day)


def _visits(rng: Random, outlook: Outlook, slots: tuple[Visit, ...]) -> Iterator[Contact]:
    for visit in slots:
        how, mode = odds.draw(rng, odds.VISITS), odds.draw(rng, odds.MODES)
        named = visit.number if odds.happens(rng, odds.NAMES_THE_VISIT) else None
        in_window = visit.opens + timedelta(days=round(rng.triangular(0, (visit.closes - visit.opens).days)))
        late = odds.day_between(rng, visit.closes + timedelta(days=1), visit.slot_ends)
        if how in ("in_window", "late"):
            yield Contact(in_window if how == "in_window" else late, named, mode)


def _with_progressions(attended: list[Contact], outlook: Outlook, ended: date) -> list[Contact]:
    """Each progression at the visit that finds it; those before the end of the index course are found after it."""
    by_day = {contact.day: contact for contact in attended}
    for progression in outlook.progressions:
        on = max(progression.on, ended + timedelta(days=14))
        if on >= outlook.until or outlook.away(on):
            continue
        near = [day for day, each in by_day.items() if on <= day <= on + FOUND_AT_THE_NEXT_VISIT and each.in_clinic]
        day = min(near, default=on)
        contact = by_day.get(day, Contact(day))
        by_day[day] = replace(contact, mode="clinic", found=(*contact.found, progression))
    return list(by_day.values())


def follow(rng: Random, treated: Treated, outlook: Outlook, plan: FollowUp, met: list[Contact]) -> list[Happening]:
    """Everything that is stated of somebody to the follow-up service, in the order of its days."""
    said = [each for contact in met for each in _told(rng, treated, outlook, contact, met)]
    said += _missed(rng, treated, outlook, plan, met)
    said += _lost(rng, outlook)
    said += _death(rng, treated, outlook)
    return sorted(said, key=lambda happening: happening.day)


def _told(rng: Random, treated: Treated, outlook: Outlook, contact: Contact, met: list[Contact]) -> Iterator[Happening]:
    earlier = [each for before in met if before.day < contact.day for each in before.found]
    data: dict[str, Any] = {"seen_on": contact.day.isoformat(), "mode": contact.mode}
    if contact.visit:
        data["visit"] = contact.visit
    data["performance"] = _performance(rng, treated, outlook, contact.day)
    if contact.found or (contact.in_clinic and odds.happens(rng, odds.IMAGED)):
        data["disease"] = _disease(rng, treated, contact, earlier)
        data["response"] = "PD" if contact.found else odds.draw(rng, odds.RESPONSES)
    data["symptoms"] = [{"symptom": each, "change": odds.draw(rng, odds.SYMPTOMS)} for each in treated.symptoms]
    yield Happening("followup", "followup.recorded", data, contact.day)
    for progression in contact.found:
        yield Happening("followup", "disease.progressed", _progressed(treated, contact, progression), contact.day)


def _performance(rng: Random, treated: Treated, outlook: Outlook, day: date) -> dict[str, Any]:
    """Worse the nearer death is: the last months take most of it."""
    if odds.happens(rng, odds.PERFORMANCE_NOT_REPORTED):
        return {"not_reported": "not asked"}
    left = max(0, (outlook.dies_on - day).days)
    lower = 10 * sum(left < within for within in (240, 120, 60, 30)) - odds.draw(rng, {0: 70, 10: 15, -10: 15})
    return {"scale": "KPS", "value": min(100, max(20, treated.performance - lower))}


def _disease(rng: Random, treated: Treated, contact: Contact, earlier: list[Progression]) -> dict[str, Any]:
    kinds, before = {each.kind for each in contact.found}, {each.kind for each in earlier}
    seen = []
    for course in treated.courses:
        if course.ended and course.ended <= contact.day:
            seen += [_lesion(rng, treated, lesion, kinds, before, course.stereotactic) for lesion in course.lesion_ids]
    started_with = {"regional": "stable" if "N" in treated.lesions else "none"}
    started_with["distant"] = "stable" if treated.stage == "IVC" else "none"
    extent = {
        where: "progressed" if where in kinds else "stable" if where in before else started_with[where]
        for where in ("regional", "distant")
    }
    return {"lesions": list({lesion["lesion_id"]: lesion for lesion in seen}.values()), **extent}


def _lesion(
    rng: Random, treated: Treated, lesion: str, kinds: set[str], before: set[str], ablated: bool
) -> dict[str, str]:
    """The first lesion of the index course is the one that progresses locally; what had, is not judged again."""
    is_it = treated.index is not None and lesion == treated.index.lesion_ids[0]
    necrosis = ablated and treated.lesions[lesion][1] == "brain" and odds.happens(rng, odds.NECROSIS)
    if is_it and "local" in kinds:
        status = "progressed"
    elif is_it and "local" in before:
        status = "not_assessed"
    else:
        status = "necrosis" if necrosis else odds.draw(rng, {"controlled": 93, "indeterminate": 5, "not_assessed": 2})
    return {"lesion_id": lesion, "status": status, "basis": "imaging"}


def _progressed(treated: Treated, contact: Contact, progression: Progression) -> dict[str, Any]:
    data = {"detected_on": contact.day.isoformat(), "kind": progression.kind, "basis": progression.basis}
    if progression.kind == "local" and treated.index:
        return {**data, "lesion_id": treated.index.lesion_ids[0]}
    return {**data, "body_site": progression.body_site}


def _missed(rng: Random, treated: Treated, outlook: Outlook, plan: FollowUp, met: list[Contact]) -> Iterator[Happening]:
    """A visit without a contact: some sites declare it missed, some ask elsewhere whether the participant lives."""
    ended = treated.index and treated.index.ended
    for visit in visits(plan, ended) if ended else ():
        declared = visit.closes + timedelta(days=rng.randint(1, 30))
        asked = visit.closes + timedelta(days=rng.randint(5, 40))
        declares = odds.happens(rng, odds.VISITS["declared"] / (odds.VISITS["declared"] + odds.VISITS["missed"]))
        asks, why = odds.happens(rng, odds.ASKED_ELSEWHERE), odds.draw(rng, odds.MISSED_BECAUSE)
        source = odds.draw(rng, odds.SOURCES)
        if any(visit.opens <= contact.day <= visit.slot_ends for contact in met):
            continue
        if declares and declared < outlook.until and not outlook.away(visit.opens):
            data = {"visit": visit.number, "declared_on": declared.isoformat(), "reason_code": why}
            yield Happening("followup", "followup.visit_missed", data, declared)
        if asks and asked < outlook.until:
            data = {"alive_on": asked.isoformat(), "source": source}
            yield Happening("followup", "vital_status.confirmed", data, asked)


def _lost(rng: Random, outlook: Outlook) -> Iterator[Happening]:
    if outlook.lost_on is None:
        return
    data = {"on": outlook.lost_on.isoformat(), "reason_code": odds.draw(rng, odds.LOST_BECAUSE)}
    lost = Happening("followup", "participant.lost", data, outlook.lost_on)
    yield lost
    if outlook.resumes_on:
        resumed = {"on": outlook.resumes_on.isoformat()}
        yield Happening("followup", "participant.follow_up_resumed", resumed, outlook.resumes_on, after=lost)


def _death(rng: Random, treated: Treated, outlook: Outlook) -> Iterator[Happening]:
    if treated.index and outlook.dies_on > add_months(treated.index.began, SEEN_FOR_MONTHS):
        return
    said = {"day": outlook.dies_on.isoformat(), "month": outlook.dies_on.isoformat()[:7], "unknown": None}
    presumed, precision = odds.happens(rng, odds.PRESUMED), odds.draw(rng, odds.DATE_OF_DEATH)
    lost = outlook.lost_on is not None and outlook.resumes_on is None
    how = "withdrawn" if treated.withdrawn_on else "lost" if lost else "followed"
    if odds.happens(rng, odds.DEATH_BECOMES_KNOWN[how]):
        data = {"died_on": said[precision], "cause": "unknown" if presumed else outlook.cause, "presumed": presumed}
        yield Happening("followup", "participant.died", data, outlook.dies_on)
