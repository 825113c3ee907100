"""Facts of follow-up with unremarkable content, in the manner of `shared/testing/builders/facts.py`."""

from __future__ import annotations

from typing import Any

from shared.contracts.follow_up import (
    DiseaseProgressed,
    FollowUpRecorded,
    FollowUpResumed,
    LostToFollowUp,
    ParticipantDied,
    QueryExplained,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitMissed,
    VisitScheduled,
    VitalStatusConfirmed,
)
from shared.testing.builders.facts import DateSpec, day

QUERY_KEY = "5e" * 32
"""Key of a data query."""


def follow_up_recorded(when: DateSpec = 0, *lesions: str, **changes: Any) -> FollowUpRecorded:
    """Returns a visit at the clinic, at which these lesions, if any, were found controlled."""
    content: dict[str, Any] = {"seen_on": day(when), "mode": "clinic"}
    if lesions:
        content["disease"] = disease_status(*lesions)
    return FollowUpRecorded.model_validate({**content, **changes})


def disease_status(*lesions: str, status: str = "controlled", basis: str = "imaging", **changes: Any) -> dict[str, Any]:
    """Returns the disease at a contact: these lesions, and no regional or distant disease."""
    lesion_statuses = [{"lesion_id": name, "status": status, "basis": basis} for name in lesions]
    return {"lesions": lesion_statuses, "regional": "none", "distant": "none", **changes}


def visit_missed(when: DateSpec = 0, visit: int = 1, **changes: Any) -> VisitMissed:
    content = {"visit": visit, "declared_on": day(when), "reason_code": "too_ill"}
    return VisitMissed.model_validate({**content, **changes})


def disease_progressed(when: DateSpec = 0, lesion: str | None = None, **changes: Any) -> DiseaseProgressed:
    """Returns the local progression of the named lesion, or without one distant progression."""
    content = {
        "detected_on": day(when),
        "kind": "local" if lesion else "distant",
        "lesion_id": lesion,
        "basis": "imaging",
    }
    return DiseaseProgressed.model_validate({**content, **changes})


def vital_status_confirmed(when: DateSpec = 0, source: str = "family_doctor") -> VitalStatusConfirmed:
    return VitalStatusConfirmed.model_validate({"alive_on": day(when), "source": source})


def participant_died(when: DateSpec | None = 0, **changes: Any) -> ParticipantDied:
    content = {"died_on": None if when is None else day(when), "cause": "tumour"}
    return ParticipantDied.model_validate({**content, **changes})


def lost_to_follow_up(when: DateSpec = 0, reason: str = "unreachable") -> LostToFollowUp:
    return LostToFollowUp.model_validate({"on": day(when), "reason_code": reason})


def follow_up_resumed(when: DateSpec = 0) -> FollowUpResumed:
    return FollowUpResumed.model_validate({"on": day(when)})


def query_explained(key: str = QUERY_KEY, reason: str = "The scan was read again.") -> QueryExplained:
    return QueryExplained.model_validate({"query_key": key, "reason": reason})


def visit_scheduled(when: DateSpec = 0, visit: int = 1, **changes: Any) -> VisitScheduled:
    return VisitScheduled.model_validate({"visit": visit, "on": day(when), **changes})


def reminder_snoozed(until: DateSpec | None = None, visit: int = 1, **changes: Any) -> ReminderSnoozed:
    return ReminderSnoozed.model_validate({**_reminder_content(until, visit), **changes})


def reminder_acknowledged(until: DateSpec | None = None, visit: int = 1, **changes: Any) -> ReminderAcknowledged:
    return ReminderAcknowledged.model_validate({**_reminder_content(until, visit), **changes})


def _reminder_content(until: DateSpec | None, visit: int) -> dict[str, Any]:
    return {"visit": visit, **({} if until is None else {"until": day(until)})}
