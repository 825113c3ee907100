"""Facts of follow-up as tests state them, in the manner of `shared.testing.facts`."""

from __future__ import annotations

from typing import Any

from shared.contracts.followup import (
    Died,
    FollowUpRecorded,
    FollowUpResumed,
    Lost,
    Progressed,
    QueryExplained,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.testing.facts import When, day

KEY = "5e" * 32
"""Of a query."""


def contact(when: When = 0, *lesions: str, **changes: Any) -> FollowUpRecorded:
    """A visit at the clinic, at which these lesions, if any, were found controlled."""
    said: dict[str, Any] = {"seen_on": day(when), "mode": "clinic"}
    if lesions:
        said["disease"] = seen(*({"lesion_id": name} for name in lesions))
    return FollowUpRecorded.model_validate({**said, **changes})


def seen(*lesions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Disease at a contact: each lesion controlled on imaging, if nothing else is said of it."""
    each = [{"status": "controlled", "basis": "imaging", **lesion} for lesion in lesions]
    return {"lesions": each, "regional": "none", "distant": "none", **changes}


def missed(when: When = 0, visit: int = 1, **changes: Any) -> VisitMissed:
    said = {"visit": visit, "declared_on": day(when), "reason_code": "too_ill"}
    return VisitMissed.model_validate({**said, **changes})


def progressed(when: When = 0, lesion: str | None = None, **changes: Any) -> Progressed:
    """Of a lesion that is named; else elsewhere."""
    said = {"detected_on": day(when), "kind": "local" if lesion else "distant", "lesion_id": lesion, "basis": "imaging"}
    return Progressed.model_validate({**said, **changes})


def alive(when: When = 0, source: str = "family_doctor") -> VitalStatusConfirmed:
    return VitalStatusConfirmed.model_validate({"alive_on": day(when), "source": source})


def died(when: When | None = 0, **changes: Any) -> Died:
    said = {"died_on": None if when is None else day(when), "cause": "tumour"}
    return Died.model_validate({**said, **changes})


def lost(when: When = 0, reason: str = "unreachable") -> Lost:
    return Lost.model_validate({"on": day(when), "reason_code": reason})


def resumed(when: When = 0) -> FollowUpResumed:
    return FollowUpResumed.model_validate({"on": day(when)})


def explained(key: str = KEY, reason: str = "The scan was read again.") -> QueryExplained:
    return QueryExplained.model_validate({"query_key": key, "reason": reason})


def snoozed(until: When | None = None, visit: int = 1, **changes: Any) -> ReminderSnoozed:
    return ReminderSnoozed.model_validate({**_reminded(until, visit), **changes})


def acknowledged(until: When | None = None, visit: int = 1, **changes: Any) -> ReminderAcknowledged:
    return ReminderAcknowledged.model_validate({**_reminded(until, visit), **changes})


def _reminded(until: When | None, visit: int) -> dict[str, Any]:
    return {"visit": visit, **({} if until is None else {"until": day(until)})}
