"""Facts of follow-up: contacts, progression, death, and loss to follow-up."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator

from shared.contracts.baseline import NotReported, Performance
from shared.contracts.enrollment import (
    BodySite,
)
from shared.contracts.streams import FOLLOWUP
from shared.contracts.toxicity import VisitNumber
from shared.kernel.fact import Fact, FactPart
from shared.kernel.ids import Code, LocalId
from shared.kernel.partial_date import ClinicalDate, Day
from shared.kernel.patterns import explain_pattern
from shared.kernel.presentation import Presentation
from shared.kernel.sealed_text import SealedString

QUERY_KEY = explain_pattern(
    r"^[0-9a-f]{64}$", "Give the key of the data query: 64 digits and letters from a to f, as /queries.json lists it."
)
Basis = Literal["imaging", "clinical", "histology"]
Extent = Literal["none", "stable", "progressed", "not_assessed"]
Response = Annotated[
    Literal["CR", "PR", "SD", "PD", "NON-CR/NON-PD", "NE"],
    Presentation(
        words={
            "CR": "Complete response (CR)",
            "PR": "Partial response (PR)",
            "SD": "Stable disease (SD)",
            "PD": "Progressive disease (PD)",
            "NON-CR/NON-PD": "Neither complete response nor progression (non-CR/non-PD)",
            "NE": "Not evaluable (NE)",
        }
    ),
]
"""RECIST 1.1."""


class LesionStatus(FactPart, schema_name="LesionSeen"):
    """Status of one lesion at a follow-up contact. Radiation necrosis is no progression."""

    lesion_id: Annotated[LocalId, Presentation(offers="lesions", one_row_each=True)]
    """Lesion, by the id under which it was registered."""
    status: Literal["controlled", "progressed", "indeterminate", "necrosis", "not_assessed"]
    """`controlled`: no progression since treatment. `indeterminate`: progression and necrosis cannot be distinguished.
    """
    basis: Basis
    """Examination on which the status is based."""


class DiseaseStatus(FactPart, schema_name="DiseaseSeen"):
    """Status of the disease at a follow-up contact: assessed lesions, regional lymph nodes, and distant sites."""

    lesions: Annotated[tuple[LesionStatus, ...], Field(max_length=100)] = ()
    """Status of each lesion that was assessed."""
    regional: Annotated[Extent, Presentation(label="Regional disease")]
    """Status of regional disease."""
    distant: Annotated[Extent, Presentation(label="Distant disease")]
    """Status of distant disease."""

    @model_validator(mode="after")
    def _require_each_lesion_once(self) -> Self:
        if len({lesion.lesion_id for lesion in self.lesions}) < len(self.lesions):
            raise ValueError("A lesion is named twice. Give each lesion once, with one status.")
        return self


class SymptomChange(FactPart):
    """Change of one symptom."""

    symptom: Annotated[Code, Presentation(offers="symptoms", one_row_each=True)]
    """Symptom, as the protocol names it."""
    change: Literal["improved", "stable", "worse", "resolved"]
    """Change since the contact before."""


@FOLLOWUP.fact("followup.recorded", on="seen_on", heading="Follow-up contact")
class FollowUpRecorded(Fact):
    """A follow-up contact that took place."""

    seen_on: ClinicalDate
    """Day of the contact. It decides in which visit window the contact is."""
    visit: Annotated[
        VisitNumber | None,
        Presentation(help="The day decides. Choose a visit only if the site means another: a data query asks then."),
    ] = None
    """Number of the planned visit for which the site takes the contact; left out for an unplanned one."""
    course_id: Annotated[LocalId | None, Presentation(offers="visit_courses")] = None
    """Course of radiotherapy whose visits are meant, if the protocol follows each course."""
    mode: Annotated[
        Literal["clinic", "phone", "video", "letter", "registry"], Presentation(label="Form of the contact")
    ]
    """Form of the contact. `registry`: information from a registry, without a contact."""
    performance: Annotated[Performance | NotReported | None, Presentation(label="Performance status")] = None
    """Performance status on that day, or why it is not known."""
    disease: Annotated[DiseaseStatus | None, Presentation(label="Status of the disease")] = None
    """Status of the disease on that day."""
    response: Response | None = None
    """Response of the disease by RECIST 1.1. NE: not evaluable."""
    symptoms: Annotated[tuple[SymptomChange, ...], Field(max_length=50)] = ()
    """Symptoms, each with its change since the contact before."""
    note: Annotated[SealedString | None, Presentation(lines=4)] = None
    """Note in the site's words. Encrypted: only the site reads it."""


@FOLLOWUP.fact("followup.visit_missed", on="declared_on", heading="Missed visit")
class VisitMissed(Fact):
    """A planned visit that did not take place and will not take place any more."""

    visit: Annotated[VisitNumber, Presentation(help="Planned visit that did not take place.", offers="open_visits")]
    """Number of the planned visit, from 1, as the protocol counts visits."""
    course_id: Annotated[LocalId | None, Presentation(offers="visit_courses")] = None
    """Course of radiotherapy whose visits are meant, if the protocol follows each course."""
    declared_on: Annotated[ClinicalDate, Presentation(label="Declared missed on")]
    """Day on which the site declared the visit missed."""
    reason_code: Annotated[
        Literal["not_attended", "too_ill", "refused", "site_closed", "other"], Presentation(label="Reason")
    ]
    """Reason why the visit did not take place."""


@FOLLOWUP.fact("disease.progressed", on="detected_on", heading="Progression")
class DiseaseProgressed(Fact, schema_name="Progressed"):
    """Progression: disease that has grown or newly appeared."""

    detected_on: ClinicalDate
    """Day on which the progression was detected. Analyses take it for the day of the progression."""
    kind: Literal["local", "regional", "distant"]
    """`local`: a treated lesion. `regional`: regional lymph nodes. `distant`: anywhere else."""
    lesion_id: Annotated[LocalId | None, Presentation(offers="lesions")] = None
    """Lesion that progressed, if it is registered."""
    body_site: BodySite | None = None
    """Part of the body in which the disease progressed."""
    basis: Basis
    """Examination that showed the progression."""


@FOLLOWUP.fact("vital_status.confirmed", on="alive_on", heading="Confirmation that the participant is alive")
class VitalStatusConfirmed(Fact):
    """Confirmation that the participant was alive on a day, from any source."""

    alive_on: ClinicalDate
    """Day on which the participant was known to be alive."""
    source: Literal["clinic", "phone", "letter", "registry", "family_doctor", "relative", "other"]
    """Source of the information."""


@FOLLOWUP.fact("participant.died", on="died_on", heading="Death")
class ParticipantDied(Fact, schema_name="Died"):
    """Death of the participant, of any cause."""

    died_on: Annotated[ClinicalDate | None, Presentation(help="Day of death.")]
    """Day of death, null if it is not known."""
    cause: Annotated[
        Literal["tumour", "treatment", "other", "unknown"],
        Presentation(
            help="Cause of death.",
            words={"tumour": "Disease under study", "treatment": "Treatment of the disease under study"},
        ),
    ]
    """Cause of death. `tumour`: the disease under study. `treatment`: its treatment."""
    presumed: Annotated[StrictBool, Presentation(label="The death is presumed")] = False
    """The death is presumed, and not confirmed."""
    detail: Annotated[SealedString | None, Presentation(lines=4)] = None
    """Details in the site's words. Encrypted: only the site reads it."""


@FOLLOWUP.fact("participant.lost", on="on", heading="Loss to follow-up")
class LostToFollowUp(Fact, schema_name="Lost"):
    """Loss to follow-up: the site can no longer reach the participant. Follow-up may resume."""

    on: Annotated[ClinicalDate, Presentation(label="Lost from")]
    """Day from which the participant counts as lost."""
    reason_code: Annotated[Literal["unreachable", "moved", "care_elsewhere", "other"], Presentation(label="Reason")]
    """Reason why the participant cannot be reached."""


@FOLLOWUP.fact("participant.follow_up_resumed", on="on", heading="Follow-up resumed")
class FollowUpResumed(Fact):
    """Follow-up of a participant who was lost resumes."""

    on: Annotated[ClinicalDate, Presentation(label="Reached on")]
    """Day on which the site reached the participant again."""


@FOLLOWUP.fact("query.explained", heading="Answer to a data query")
class QueryExplained(Fact):
    """Answer to a data query: why facts that look contradictory or incomplete are right. The query stays listed, with
    it."""

    query_key: Annotated[
        str,
        StringConstraints(strict=True, pattern=QUERY_KEY),
        Field(examples=["0" * 64]),
        Presentation(label="Key of the data query", help="The link from the data query fills it in."),
    ]
    """Key of the data query, as /queries.json lists it."""
    reason: Annotated[SealedString, Presentation(label="Explanation", lines=4)]
    """Explanation in the site's words. Encrypted: only the site reads it."""


@FOLLOWUP.fact("visit.scheduled", heading="Appointment for a planned visit")
class VisitScheduled(Fact):
    """An appointment for a planned visit. It is no contact, and shows nothing about the participant. The last one that
    is stated for a visit holds."""

    visit: Annotated[VisitNumber, Presentation(help="Planned visit that is meant.", offers="coming_visits")]
    """Number of the planned visit, from 1, as the protocol counts visits."""
    course_id: Annotated[LocalId | None, Presentation(offers="visit_courses")] = None
    """Course of radiotherapy whose visits are meant, if the protocol follows each course."""
    on: Annotated[Day, Presentation(label="Day of the appointment")]
    """Day of the appointment, which may be in the future."""


class _ReminderFact(Fact):
    visit: Annotated[VisitNumber, Presentation(help="Planned visit that is meant.", offers="coming_visits")]
    """Number of the planned visit, from 1, as the protocol counts visits."""
    course_id: Annotated[LocalId | None, Presentation(offers="visit_courses")] = None
    """Course of radiotherapy whose visits are meant, if the protocol follows each course."""
    until: Annotated[Day | None, Presentation(label="No reminders before")] = None
    """First day on which reminders may be sent again, at most 14 days ahead."""


@FOLLOWUP.fact("reminder.snoozed", heading="Reminder put off")
class ReminderSnoozed(_ReminderFact):
    """No reminder of the visit before a day; without one, for 14 days."""

    until: Annotated[
        Day | None,
        Presentation(
            label="No reminders before",
            help="First day on which reminders may come again, at most 14 days ahead. Left empty: in 14 days.",
        ),
    ] = None
    """First day on which reminders may be sent again, at most 14 days ahead."""


@FOLLOWUP.fact("reminder.acknowledged", heading="Reminder acknowledged")
class ReminderAcknowledged(_ReminderFact):
    """The reminder was read, and the site arranges the visit."""
