"""Contacts and what they showed, progression, death, and who is not found."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.figures import spoken
from services.analytics.telling.words import Known, Tell, Told, capital, listed, performance, some
from shared.contracts.followup import (
    Died,
    DiseaseSeen,
    FollowUpRecorded,
    FollowUpResumed,
    LesionSeen,
    Lost,
    Progressed,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.kernel.fact import Fact

_EXTENT = {"none": "no {} disease", "stable": "{} disease stable", "progressed": "{} disease progressed"}
_BASIS = {"imaging": "by imaging", "clinical": "clinically", "histology": "by histology"}
_CAUSE = {
    "tumour": "tumor", "treatment": "treatment", "other": "other than tumor and treatment", "unknown": "unknown",
}  # fmt: skip


def _seen(fact: FollowUpRecorded, known: Known) -> Told:
    how = some(*_lesions(fact.disease), *_extents(fact.disease), f"response {fact.response}" if fact.response else "")
    detail = some(
        f"visit {fact.visit}" if fact.visit else "",
        f"after course {fact.course_id}" if fact.course_id else "",
        *(_lesion(each, known) for each in (fact.disease.lesions if fact.disease else ())),
        performance(fact.performance),
        listed((f"{spoken(each.symptom)} {each.change}" for each in fact.symptoms), ", "),
    )
    more = {"visit": fact.visit, "response": fact.response, "lesions": _statuses(fact.disease)}
    title = ": ".join(some(f"Follow-up contact ({spoken(fact.mode)})", ", ".join(how)))
    return Told("contacts", title, _label(fact), detail, more)


def _label(fact: FollowUpRecorded) -> str:
    return " ".join(some(f"V{fact.visit}" if fact.visit else "", fact.response or ""))


def _lesions(disease: DiseaseSeen | None) -> list[str]:
    return [f"{seen.lesion_id} {spoken(seen.status)}" for seen in (disease.lesions if disease else ())]


def _extents(disease: DiseaseSeen | None) -> list[str]:
    extents = (("regional", disease.regional), ("distant", disease.distant)) if disease else ()
    return [_EXTENT[extent].format(where) for where, extent in extents if extent in _EXTENT]


def _lesion(seen: LesionSeen, known: Known) -> str:
    return f"{known.lesion(seen.lesion_id)}: {spoken(seen.status)} {_BASIS[seen.basis]}"


def _statuses(disease: DiseaseSeen | None) -> list[dict[str, str]]:
    return [
        {"lesion_id": seen.lesion_id, "status": seen.status, "basis": seen.basis}
        for seen in (disease.lesions if disease else ())
    ]


def _missed(fact: VisitMissed, _: Known) -> Told:
    return Told("contacts", f"Visit {fact.visit} missed: {spoken(fact.reason_code)}", f"V{fact.visit} missed")


def _progressed(fact: Progressed, known: Known) -> Told:
    where = known.lesion(fact.lesion_id) if fact.lesion_id else spoken(fact.body_site or "")
    title = ": ".join(some(f"{capital(fact.kind)} progression", where))
    label = f"{capital(fact.kind)} PD"
    more = {"kind": fact.kind, "lesion_id": fact.lesion_id}
    return Told("status", title, label, (f"detected {_BASIS[fact.basis]}",), more)


def _alive(fact: VitalStatusConfirmed, _: Known) -> Told:
    return Told("contacts", "Confirmed alive", "Alive", (f"source: {spoken(fact.source)}",))


def _died(fact: Died, _: Known) -> Told:
    label = "Presumed dead" if fact.presumed else "Died"
    when = "" if fact.died_on else ", date unknown"
    return Told("status", f"{label}{when}; cause of death: {_CAUSE[fact.cause]}", label, more={"cause": fact.cause})


def _lost(fact: Lost, _: Known) -> Told:
    return Told("status", f"Lost to follow-up: {spoken(fact.reason_code)}", "Lost")


def _resumed(_: FollowUpResumed, __: Known) -> Told:
    return Told("status", "Follow-up resumed")


TELLS: Mapping[type[Fact], Tell] = {
    FollowUpRecorded: _seen,
    VisitMissed: _missed,
    Progressed: _progressed,
    VitalStatusConfirmed: _alive,
    Died: _died,
    Lost: _lost,
    FollowUpResumed: _resumed,
}
