"""Facts of enrollment with unremarkable content; the arguments of a builder are what a test is about.

A date is a number of days after 1 February 2024, or a text as a site writes it (`2024-02`). `changes` replace members.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shared.contracts.catalogue import PARTICIPANT, STREAMS
from shared.contracts.enrollment import (
    BaselineRecorded,
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
    ProcedurePerformed,
    ScreeningFailed,
)
from shared.contracts.literature import PublishedStudyRecorded
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
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.fact import Correction, Fact, Stream
from shared.protocol.protocol import Protocol

START_DATE = date(2024, 2, 1)
CRITERIA_MET = {"histology": "met", "rt-indicated": "met"}
DateSpec = int | str


def day(when: DateSpec = 0) -> str:
    """Returns a date as a site writes it."""
    return when if isinstance(when, str) else (START_DATE + timedelta(days=when)).isoformat()


# A study's


def protocol(criteria: tuple[str, ...] = ("histology", "rt-indicated"), **changes: Any) -> Protocol:
    plan = {
        "criteria": [{"id": name, "text": f"About {name}.", "kind": "inclusion"} for name in criteria],
        "minimum_age": 18,
        "consent_versions": [
            {"version": "2.1", "valid_from": "2020-01-01"},
            {"version": "3.0", "valid_from": "2024-06-01"},
        ],
        "toxicity": {"dictionary": "ctcae-3.0"},
        "follow_up": {},
    }
    return Protocol.model_validate({**plan, **changes})


def study_opened(plan: Protocol | None = None) -> StudyOpened:
    return StudyOpened(title="Cohort", ethics_approval="2020-117", protocol=plan or protocol())


def protocol_amended(when: DateSpec, plan: Protocol, amendment: str = "A1", **changes: Any) -> ProtocolAmended:
    content = {"amendment": amendment, "effective_on": day(when), "protocol": plan, "reason": "Experience."}
    return ProtocolAmended.model_validate({**content, **changes})


def site_activated(
    site: str = "rome", when: DateSpec = "2020-12-01", zone: str = "Europe/Rome", **changes: Any
) -> SiteActivated:
    content = {"site_id": site, "name": site.title(), "country": "IT", "time_zone": zone, "on": day(when)}
    return SiteActivated.model_validate({**content, **changes})


def site_closed(site: str = "rome", when: DateSpec = 0) -> SiteClosed:
    return SiteClosed.model_validate({"site_id": site, "on": day(when)})


def member_granted(member: str, role: str, site: str | None = None) -> MemberGranted:
    return MemberGranted.model_validate({"member": member, "role": role, "site_id": site})


def member_revoked(member: str, role: str, site: str | None = None) -> MemberRevoked:
    return MemberRevoked.model_validate({"member": member, "role": role, "site_id": site})


def accrual_closed(when: DateSpec = 0) -> AccrualClosed:
    return AccrualClosed.model_validate({"on": day(when)})


def study_closed(when: DateSpec = 0) -> StudyClosed:
    return StudyClosed.model_validate({"on": day(when)})


def cut_taken(name: str = "first", when: DateSpec = 0) -> CutTaken:
    return CutTaken.model_validate({"name": name, "cut_on": day(when)})


def literature_recorded(ref_id: str = "LEE2022", **changes: Any) -> PublishedStudyRecorded:
    content = {"ref_id": ref_id, "first_author": "Lee NY", "year": 2022}
    return PublishedStudyRecorded.model_validate({**content, **changes})


# A participant's


def participant_screened(when: DateSpec = 0, **changes: Any) -> ParticipantScreened:
    content = {
        "site_id": "rome",
        "screened_on": day(when),
        "sex": "female",
        "birth_year": 1947,
        "criteria": CRITERIA_MET,
    }
    return ParticipantScreened.model_validate({**content, **changes})


def screening_failed(when: DateSpec = 0, *reasons: str) -> ScreeningFailed:
    return ScreeningFailed.model_validate({"failed_on": day(when), "reason_codes": reasons or ("histology",)})


def consent_signed(when: DateSpec = 0, version: str = "2.1", **changes: Any) -> ConsentSigned:
    return ConsentSigned.model_validate({"signed_on": day(when), "form_version": version, **changes})


def participant_enrolled(when: DateSpec = 0) -> ParticipantEnrolled:
    return ParticipantEnrolled.model_validate({"enrolled_on": day(when)})


def baseline_recorded(when: DateSpec = 0, **changes: Any) -> BaselineRecorded:
    content = {
        "assessed_on": day(when),
        "diagnosed_on": "2024-01",
        "histology": "8021/3",
        "primary_site": "C73",
        "tnm": {"t": "T4b", "n": "N1b", "m": "M1"},
        "performance": {"scale": "KPS", "value": 80},
    }
    return BaselineRecorded.model_validate({**content, **changes})


def consent_withdrawn(when: DateSpec = 0, scope: str = "follow_up", **changes: Any) -> ConsentWithdrawn:
    return ConsentWithdrawn.model_validate({"withdrawn_on": day(when), "scope": scope, **changes})


def participant_transferred(site: str = "milan", when: DateSpec = 0) -> ParticipantTransferred:
    return ParticipantTransferred.model_validate({"to_site": site, "on": day(when)})


def participant_voided(reason: str = "entered_in_error", duplicate_of: str | None = None) -> ParticipantVoided:
    return ParticipantVoided.model_validate({"reason": reason, "duplicate_of": duplicate_of})


def lesion_registered(name: str = "L1", when: DateSpec = 0, **changes: Any) -> LesionRegistered:
    content = {"lesion_id": name, "kind": "metastasis", "body_site": "brain", "found_on": day(when)}
    return LesionRegistered.model_validate({**content, **changes})


def procedure_performed(when: DateSpec = 0, **changes: Any) -> ProcedurePerformed:
    content = {"performed_on": day(when), "kind": "tracheostomy", "body_site": "neck"}
    return ProcedurePerformed.model_validate({**content, **changes})


def target(
    name: str = "T1", *lesions: str, fractions: int = 20, cgy_per_fraction: int = 250, **changes: Any
) -> dict[str, Any]:
    """Returns a target as a prescription has it: 20 fractions of 2.5 Gy, or as many of so many centigray."""
    content = {
        "target_id": name,
        "lesion_ids": lesions,
        "label": "PTV_50",
        "modality": "photons",
        "technique": "VMAT",
        "delivery": "hypofractionated",
        "fractions": fractions,
        "dose_per_fraction_cgy": cgy_per_fraction,
        "total_dose_cgy": fractions * cgy_per_fraction,
    }
    return {**content, **changes}


def radiotherapy_started(
    when: DateSpec = 0, name: str = "RT1", *targets: dict[str, Any], index: bool = True
) -> RadiotherapyStarted:
    content = {"course_id": name, "started_on": day(when), "intent": "palliative", "index": index}
    return RadiotherapyStarted.model_validate({**content, "targets": targets or [target()]})


def prescription_changed(when: DateSpec = 0, name: str = "RT1", *targets: dict[str, Any]) -> PrescriptionChanged:
    content = {"course_id": name, "on": day(when), "reason_code": "anatomy", "targets": targets or [target()]}
    return PrescriptionChanged.model_validate(content)


def delivered_dose(name: str = "T1", fractions: int = 20, dose: int = 5000) -> dict[str, Any]:
    return {"target_id": name, "fractions": fractions, "dose_cgy": dose}


def radiotherapy_completed(when: DateSpec = 28, name: str = "RT1", *delivered: dict[str, Any]) -> RadiotherapyCompleted:
    content = {"course_id": name, "ended_on": day(when), "delivered": delivered}
    return RadiotherapyCompleted.model_validate(content)


def radiotherapy_discontinued(
    when: DateSpec = 14, name: str = "RT1", *delivered: dict[str, Any]
) -> RadiotherapyDiscontinued:
    content = {"course_id": name, "ended_on": day(when), "delivered": delivered, "reason_code": "toxicity"}
    return RadiotherapyDiscontinued.model_validate(content)


def systemic_therapy_started(when: DateSpec = 0, name: str = "S1", **changes: Any) -> SystemicTherapyStarted:
    content = {"line_id": name, "on": day(when), "agents": [{"name": "doxorubicin"}], "setting": "palliative"}
    return SystemicTherapyStarted.model_validate({**content, **changes})


def systemic_therapy_stopped(when: DateSpec = 0, name: str = "S1") -> SystemicTherapyStopped:
    return SystemicTherapyStopped.model_validate({"line_id": name, "on": day(when), "reason_code": "progression"})


def correction(event: int | UUID, replacement: Fact | None, **changes: Any) -> Correction:
    """Returns a correction that restates the event of that number (or id); without a replacement, one that voids it."""
    event_id = event if isinstance(event, UUID) else UUID(int=event)
    content = {"event_id": event_id, "reason_code": "typing_error", "replacement": replacement}
    return _stream_of(replacement).correction(**{**content, **changes})


def _stream_of(fact: Fact | None) -> Stream:
    """Returns the stream that has facts of this class. Without a fact, any stream that can be corrected does."""
    return next((stream for stream in STREAMS if type(fact) in stream.declared_facts.values()), PARTICIPANT)


ENROLLMENT_FACTS: tuple[Fact, ...] = (participant_screened(), consent_signed(), participant_enrolled())
"""Events 1, 2 and 3 of an enrolled participant."""
