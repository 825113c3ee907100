"""Facts as tests state them: each builder gives an unremarkable one, and its arguments what the test is about.

A date is a number of days after 1 February 2024, or a text as a site writes it (`2024-02`).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shared.contracts.catalogue import PARTICIPANT, STREAMS
from shared.contracts.enrollment import (
    BaselineRecorded,
    Consented,
    Enrolled,
    LesionRegistered,
    ProcedurePerformed,
    Screened,
    ScreenFailed,
    Transferred,
    Voided,
    Withdrawn,
)
from shared.contracts.study import (
    AccrualClosed,
    Closed,
    CutTaken,
    MemberGranted,
    MemberRevoked,
    Opened,
    ProtocolAmended,
    SiteActivated,
    SiteClosed,
)
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.fact import Corrected, Fact, Stream
from shared.protocol.protocol import Protocol

START = date(2024, 2, 1)
MET = {"histology": "met", "rt-indicated": "met"}
When = int | str


def day(when: When = 0) -> str:
    return when if isinstance(when, str) else (START + timedelta(days=when)).isoformat()


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


def opened(plan: Protocol | None = None) -> Opened:
    return Opened(title="Cohort", ethics_approval="2020-117", protocol=plan or protocol())


def amended(when: When, plan: Protocol, amendment: str = "A1") -> ProtocolAmended:
    said = {"amendment": amendment, "effective_on": day(when), "protocol": plan, "reason": "Experience."}
    return ProtocolAmended.model_validate(said)


def site_activated(site: str = "rome", when: When = "2020-12-01", zone: str = "Europe/Rome") -> SiteActivated:
    said = {"site_id": site, "name": site.title(), "country": "IT", "time_zone": zone, "on": day(when)}
    return SiteActivated.model_validate(said)


def site_closed(site: str = "rome", when: When = 0) -> SiteClosed:
    return SiteClosed.model_validate({"site_id": site, "on": day(when)})


def granted(member: str, role: str, site: str | None = None) -> MemberGranted:
    return MemberGranted.model_validate({"member": member, "role": role, "site_id": site})


def revoked(member: str, role: str, site: str | None = None) -> MemberRevoked:
    return MemberRevoked.model_validate({"member": member, "role": role, "site_id": site})


def accrual_closed(when: When = 0) -> AccrualClosed:
    return AccrualClosed.model_validate({"on": day(when)})


def study_closed(when: When = 0) -> Closed:
    return Closed.model_validate({"on": day(when)})


def cut_taken(name: str = "first", when: When = 0) -> CutTaken:
    return CutTaken.model_validate({"name": name, "cut_on": day(when)})


# A participant's


def screened(when: When = 0, **changes: Any) -> Screened:
    said = {"site_id": "rome", "screened_on": day(when), "sex": "female", "birth_year": 1947, "criteria": MET}
    return Screened.model_validate({**said, **changes})


def screen_failed(when: When = 0, *reasons: str) -> ScreenFailed:
    return ScreenFailed.model_validate({"failed_on": day(when), "reason_codes": reasons or ("histology",)})


def consented(when: When = 0, version: str = "2.1") -> Consented:
    return Consented.model_validate({"signed_on": day(when), "form_version": version})


def enrolled(when: When = 0) -> Enrolled:
    return Enrolled.model_validate({"enrolled_on": day(when)})


def baseline(when: When = 0, **changes: Any) -> BaselineRecorded:
    said = {
        "assessed_on": day(when),
        "diagnosed_on": "2024-01",
        "histology": "8021/3",
        "primary_site": "C73",
        "tnm": {"t": "T4b", "n": "N1b", "m": "M1"},
        "performance": {"scale": "KPS", "value": 80},
    }
    return BaselineRecorded.model_validate({**said, **changes})


def withdrawn(when: When = 0, scope: str = "follow_up", **changes: Any) -> Withdrawn:
    return Withdrawn.model_validate({"withdrawn_on": day(when), "scope": scope, **changes})


def transferred(site: str = "milan", when: When = 0) -> Transferred:
    return Transferred.model_validate({"to_site": site, "on": day(when)})


def voided(reason: str = "entered_in_error", duplicate_of: str | None = None) -> Voided:
    return Voided.model_validate({"reason": reason, "duplicate_of": duplicate_of})


def lesion(name: str = "L1", when: When = 0, **changes: Any) -> LesionRegistered:
    said = {"lesion_id": name, "kind": "metastasis", "body_site": "brain", "found_on": day(when)}
    return LesionRegistered.model_validate({**said, **changes})


def procedure(when: When = 0, **changes: Any) -> ProcedurePerformed:
    said = {"performed_on": day(when), "kind": "tracheostomy", "body_site": "neck"}
    return ProcedurePerformed.model_validate({**said, **changes})


def target(name: str = "T1", *lesions: str, fractions: int = 20, each: int = 250, **changes: Any) -> dict[str, Any]:
    """Twenty fractions of 2.5 Gy. `each`: centigray per fraction."""
    said = {
        "target_id": name, "lesion_ids": lesions, "label": "PTV_50", "modality": "photons", "technique": "VMAT",
        "delivery": "hypofractionated", "fractions": fractions, "dose_per_fraction_cgy": each,
        "total_dose_cgy": fractions * each,
    }  # fmt: skip
    return {**said, **changes}


def course(when: When = 0, name: str = "RT1", *targets: dict[str, Any], index: bool = True) -> RadiotherapyStarted:
    said = {"course_id": name, "started_on": day(when), "intent": "palliative", "index": index}
    return RadiotherapyStarted.model_validate({**said, "targets": targets or [target()]})


def changed(when: When = 0, name: str = "RT1", *targets: dict[str, Any]) -> PrescriptionChanged:
    said = {"course_id": name, "on": day(when), "reason_code": "anatomy", "targets": targets or [target()]}
    return PrescriptionChanged.model_validate(said)


def given(name: str = "T1", fractions: int = 20, dose: int = 5000) -> dict[str, Any]:
    return {"target_id": name, "fractions": fractions, "dose_cgy": dose}


def completed(when: When = 28, name: str = "RT1", *delivered: dict[str, Any]) -> RadiotherapyCompleted:
    said = {"course_id": name, "ended_on": day(when), "delivered": delivered}
    return RadiotherapyCompleted.model_validate(said)


def discontinued(when: When = 14, name: str = "RT1", *delivered: dict[str, Any]) -> RadiotherapyDiscontinued:
    said = {"course_id": name, "ended_on": day(when), "delivered": delivered, "reason_code": "toxicity"}
    return RadiotherapyDiscontinued.model_validate(said)


def line(when: When = 0, name: str = "S1") -> SystemicTherapyStarted:
    said = {"line_id": name, "on": day(when), "agents": [{"name": "doxorubicin"}], "setting": "palliative"}
    return SystemicTherapyStarted.model_validate(said)


def line_stopped(when: When = 0, name: str = "S1") -> SystemicTherapyStopped:
    return SystemicTherapyStopped.model_validate({"line_id": name, "on": day(when), "reason_code": "progression"})


def correction(event: int | UUID, replacement: Fact | None, **changes: Any) -> Corrected:
    """Restates the event of that number (or id), or voids it."""
    event_id = event if isinstance(event, UUID) else UUID(int=event)
    said = {"event_id": event_id, "reason_code": "typing_error", "replacement": replacement}
    return _stream_of(replacement).correction(**{**said, **changes})


def _stream_of(fact: Fact | None) -> Stream:
    """Whose fact it is. A void says the same in every stream."""
    return next((stream for stream in STREAMS if type(fact) in stream.declared.values()), PARTICIPANT)


ON_STUDY: tuple[Fact, ...] = (screened(), consented(), enrolled())
"""Events 1, 2 and 3 of whoever takes part."""
