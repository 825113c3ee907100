"""Descriptions of follow-up facts: contacts, progression, death, and loss to follow-up. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.timeline.answers import FactMembers, TimelineLesion
from services.analytics.timeline.descriptions.context import (
    Describe,
    Description,
    DescriptionContext,
    describe_performance,
)
from services.analytics.wording.phrasing import capitalize, humanize, join_words, non_empty
from shared.contracts.follow_up import (
    DiseaseProgressed,
    DiseaseStatus,
    FollowUpRecorded,
    FollowUpResumed,
    LesionStatus,
    LostToFollowUp,
    ParticipantDied,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.kernel.fact import Fact

_EXTENT = {"none": "no {} disease", "stable": "{} disease stable", "progressed": "{} disease progressed"}
_BASIS = {"imaging": "by imaging", "clinical": "clinically", "histology": "by histology"}
_CAUSE = {
    "tumour": "tumor",
    "treatment": "treatment",
    "other": "other than tumor and treatment",
    "unknown": "unknown",
}


def _describe_contact(fact: FollowUpRecorded, context: DescriptionContext) -> Description:
    findings = non_empty(
        *_lesion_statuses(fact.disease),
        *_describe_extents(fact.disease),
        f"response {fact.response}" if fact.response else "",
    )
    detail = non_empty(
        f"visit {fact.visit}" if fact.visit else "",
        f"after course {fact.course_id}" if fact.course_id else "",
        *(_describe_lesion(lesion, context) for lesion in (fact.disease.lesions if fact.disease else ())),
        describe_performance(fact.performance),
        join_words((f"{humanize(symptom.symptom)} {symptom.change}" for symptom in fact.symptoms), ", "),
    )
    members = FactMembers(visit=fact.visit, response=fact.response, lesions=_lesion_members(fact.disease))
    title = ": ".join(non_empty(f"Follow-up contact ({humanize(fact.mode)})", ", ".join(findings)))
    return Description("contacts", title, _contact_label(fact), detail, members)


def _contact_label(fact: FollowUpRecorded) -> str:
    return " ".join(non_empty(f"V{fact.visit}" if fact.visit else "", fact.response or ""))


def _lesion_statuses(disease: DiseaseStatus | None) -> list[str]:
    return [f"{lesion.lesion_id} {humanize(lesion.status)}" for lesion in (disease.lesions if disease else ())]


def _describe_extents(disease: DiseaseStatus | None) -> list[str]:
    extents = (("regional", disease.regional), ("distant", disease.distant)) if disease else ()
    return [_EXTENT[extent].format(region) for region, extent in extents if extent in _EXTENT]


def _describe_lesion(lesion: LesionStatus, context: DescriptionContext) -> str:
    return f"{context.describe_lesion(lesion.lesion_id)}: {humanize(lesion.status)} {_BASIS[lesion.basis]}"


def _lesion_members(disease: DiseaseStatus | None) -> tuple[TimelineLesion, ...]:
    return tuple(
        TimelineLesion(lesion_id=lesion.lesion_id, status=lesion.status, basis=lesion.basis)
        for lesion in (disease.lesions if disease else ())
    )


def _describe_missed_visit(fact: VisitMissed, _: DescriptionContext) -> Description:
    return Description("contacts", f"Visit {fact.visit} missed: {humanize(fact.reason_code)}", f"V{fact.visit} missed")


def _describe_progression(fact: DiseaseProgressed, context: DescriptionContext) -> Description:
    location = context.describe_lesion(fact.lesion_id) if fact.lesion_id else humanize(fact.body_site or "")
    title = ": ".join(non_empty(f"{capitalize(fact.kind)} progression", location))
    label = f"{capitalize(fact.kind)} PD"
    members = FactMembers(kind=fact.kind, lesion_id=fact.lesion_id)
    return Description("status", title, label, (f"detected {_BASIS[fact.basis]}",), members)


def _describe_vital_status(fact: VitalStatusConfirmed, _: DescriptionContext) -> Description:
    return Description("contacts", "Confirmed alive", "Alive", (f"source: {humanize(fact.source)}",))


def _describe_death(fact: ParticipantDied, _: DescriptionContext) -> Description:
    label = "Presumed dead" if fact.presumed else "Died"
    date_note = "" if fact.died_on else ", date unknown"
    title = f"{label}{date_note}; cause of death: {_CAUSE[fact.cause]}"
    return Description("status", title, label, members=FactMembers(cause=fact.cause))


def _describe_loss(fact: LostToFollowUp, _: DescriptionContext) -> Description:
    return Description("status", f"Lost to follow-up: {humanize(fact.reason_code)}", "Lost")


def _describe_resumption(_: FollowUpResumed, __: DescriptionContext) -> Description:
    return Description("status", "Follow-up resumed")


DESCRIPTIONS: Mapping[type[Fact], Describe] = {
    FollowUpRecorded: _describe_contact,
    VisitMissed: _describe_missed_visit,
    DiseaseProgressed: _describe_progression,
    VitalStatusConfirmed: _describe_vital_status,
    ParticipantDied: _describe_death,
    LostToFollowUp: _describe_loss,
    FollowUpResumed: _describe_resumption,
}
