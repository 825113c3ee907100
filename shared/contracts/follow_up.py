"""Facts of follow-up: contacts, progression, death, and loss to follow-up."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator

from shared.contracts.enrollment import BodySite, NotReported, Performance
from shared.contracts.streams import FOLLOWUP
from shared.contracts.toxicity import VisitNumber
from shared.kernel.fact import Fact, FactPart
from shared.kernel.ids import Code, LocalId
from shared.kernel.partial_date import ClinicalDate, Day
from shared.kernel.patterns import explain_pattern
from shared.kernel.sealed_text import SealedString

_QUERY_KEY = explain_pattern(
    r"^[0-9a-f]{64}$", "Give the key of the data query: 64 digits and letters from a to f, as /queries.json lists it."
)
Basis = Literal["imaging", "clinical", "histology"]
Extent = Literal["none", "stable", "progressed", "not_assessed"]
Response = Literal["CR", "PR", "SD", "PD", "NON-CR/NON-PD", "NE"]
"""RECIST 1.1."""


class LesionStatus(FactPart, schema_name="LesionSeen"):
    """How a lesion is at a contact. Necrosis is no failure."""

    lesion_id: LocalId
    status: Literal["controlled", "progressed", "indeterminate", "necrosis", "not_assessed"]
    basis: Basis


class DiseaseStatus(FactPart, schema_name="DiseaseSeen"):
    """Disease at a contact: each lesion that was looked at, the region, and elsewhere."""

    lesions: Annotated[tuple[LesionStatus, ...], Field(max_length=100)] = ()
    regional: Extent
    distant: Extent

    @model_validator(mode="after")
    def _require_each_lesion_once(self) -> Self:
        if len({lesion.lesion_id for lesion in self.lesions}) < len(self.lesions):
            raise ValueError("A lesion is named twice. Give each lesion once, with one status.")
        return self


class SymptomChange(FactPart):
    symptom: Code
    change: Literal["improved", "stable", "worse", "resolved"]


@FOLLOWUP.fact("followup.recorded", on="seen_on")
class FollowUpRecorded(Fact):
    """A follow-up that took place. `visit` is the planned visit that the site takes it for, if any."""

    seen_on: ClinicalDate
    visit: VisitNumber | None = None
    course_id: LocalId | None = None
    mode: Literal["clinic", "phone", "video", "letter", "registry"]
    performance: Performance | NotReported | None = None
    disease: DiseaseStatus | None = None
    response: Response | None = None
    symptoms: Annotated[tuple[SymptomChange, ...], Field(max_length=50)] = ()
    note: SealedString | None = None


@FOLLOWUP.fact("followup.visit_missed", on="declared_on")
class VisitMissed(Fact):
    """The site says that a planned visit will not take place any more."""

    visit: VisitNumber
    course_id: LocalId | None = None
    declared_on: ClinicalDate
    reason_code: Literal["not_attended", "too_ill", "refused", "site_closed", "other"]


@FOLLOWUP.fact("disease.progressed", on="detected_on")
class DiseaseProgressed(Fact, schema_name="Progressed"):
    """Disease has grown or appeared: where it was treated (local, of a lesion), in the region, or elsewhere."""

    detected_on: ClinicalDate
    kind: Literal["local", "regional", "distant"]
    lesion_id: LocalId | None = None
    body_site: BodySite | None = None
    basis: Basis


@FOLLOWUP.fact("vital_status.confirmed", on="alive_on")
class VitalStatusConfirmed(Fact):
    """The participant was alive on that day, by whatever source."""

    alive_on: ClinicalDate
    source: Literal["clinic", "phone", "letter", "registry", "family_doctor", "relative", "other"]


@FOLLOWUP.fact("participant.died", on="died_on")
class ParticipantDied(Fact, schema_name="Died"):
    """Death of any cause. `died_on` is null where the day is not known; presumed where death is not confirmed."""

    died_on: ClinicalDate | None
    cause: Literal["tumour", "treatment", "other", "unknown"]
    presumed: StrictBool = False
    detail: SealedString | None = None


@FOLLOWUP.fact("participant.lost", on="on")
class LostToFollowUp(Fact, schema_name="Lost"):
    """Nobody can reach the participant any more; reversible."""

    on: ClinicalDate
    reason_code: Literal["unreachable", "moved", "care_elsewhere", "other"]


@FOLLOWUP.fact("participant.follow_up_resumed", on="on")
class FollowUpResumed(Fact):
    on: ClinicalDate


@FOLLOWUP.fact("query.explained")
class QueryExplained(Fact):
    """Why something contradictory is right as it stands. The query stays listed, with its explanation."""

    query_key: Annotated[
        str,
        StringConstraints(strict=True, pattern=_QUERY_KEY),
        Field(description="the query's key, as /queries.json lists it", examples=["0" * 64]),
    ]
    reason: SealedString


class _ReminderFact(Fact):
    visit: VisitNumber
    course_id: LocalId | None = None
    until: Annotated[Day | None, Field(description="14 days ahead at most")] = None


@FOLLOWUP.fact("reminder.snoozed")
class ReminderSnoozed(_ReminderFact):
    """No reminder of that visit before that day."""


@FOLLOWUP.fact("reminder.acknowledged")
class ReminderAcknowledged(_ReminderFact):
    """Somebody has seen the reminder and sees to the visit."""
