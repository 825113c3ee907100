"""Facts about adverse events with unremarkable content, in the manner of `shared/testing/builders/facts.py`."""

from __future__ import annotations

from typing import Any

from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated, ToxicityAssessed
from shared.testing.builders.facts import DateSpec, day

DYSPHAGIA = "3.0:0150"
"""Term of CTCAE v3.0 with every grade."""


def finding(term: str = DYSPHAGIA, grade: int | None = 1, **changes: Any) -> dict[str, Any]:
    reason = {} if grade is not None else {"not_graded": "Not asked."}
    return {"term": term, "grade": grade, **reason, **changes}


def attributions(*causes: str, level: str = "possible") -> list[dict[str, str]]:
    """Returns attributions of one level, as of `attributions("course:RT1", "disease")`."""
    return [{"to": cause, "level": level} for cause in causes]


def toxicity_assessed(when: DateSpec = 0, *findings: dict[str, Any], **changes: Any) -> ToxicityAssessed:
    content = {"assessed_on": day(when), "timepoint": "follow_up", "checklist_complete": True, "findings": findings}
    return ToxicityAssessed.model_validate({**content, **changes})


def serious_event_reported(name: str = "SAE1", when: DateSpec = 0, **changes: Any) -> SeriousEventReported:
    content = {
        "serious_event_id": name,
        "aware_at": "2024-02-01T08:00:00+01:00",
        "term": DYSPHAGIA,
        "grade": 3,
        "onset_on": day(when),
        "seriousness": ["hospitalisation"],
        "narrative": "Admitted for tube feeding.",
        "outcome": "NOT RECOVERED/NOT RESOLVED",
    }
    return SeriousEventReported.model_validate({**content, **changes})


def serious_event_updated(name: str = "SAE1", **changes: Any) -> SeriousEventUpdated:
    content = {"serious_event_id": name, "aware_at": "2024-02-05T08:00:00+01:00"}
    return SeriousEventUpdated.model_validate({**content, **changes})


def serious_event_resolved(name: str = "SAE1", **changes: Any) -> SeriousEventResolved:
    content = {"serious_event_id": name, "aware_at": "2024-02-20T08:00:00+01:00", "outcome": "RECOVERED/RESOLVED"}
    return SeriousEventResolved.model_validate({**content, **changes})
