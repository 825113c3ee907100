"""Toxicity of cohorts for endpoints: baseline assessments, findings and times at risk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from services.analytics.endpoints.severe_toxicity import Attribution, SevereToxicityEndpoint
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.snapshot.selection import ToxicitySelection
from shared.kernel.fact import Fact
from shared.testing.builders.toxicity_facts import DYSPHAGIA, finding, toxicity_assessed
from tests.unit.analytics.endpoints.cohorts import cohort_of, selection

NOTHING, TOXIC, DEAD = 0, 1, 2
TO_COURSE: dict[str, Any] = {"attribution": [{"to": "course:RT1", "level": "probable"}]}
TO_DISEASE: dict[str, Any] = {"attribution": [{"to": "disease", "level": "probable"}]}


def graded(day: int, grade: int | None, term: str = DYSPHAGIA, **changes: Any) -> Fact:
    """Returns an assessment with one finding and an incomplete checklist."""
    return toxicity_assessed(day, finding(term, grade, **changes), checklist_complete=False)


def baseline(day: int, grade: int | None, term: str = DYSPHAGIA) -> Fact:
    return toxicity_assessed(day, finding(term, grade), timepoint="baseline", checklist_complete=False)


def complete(*days: int) -> list[Fact]:
    """Returns assessments without findings and with a complete checklist."""
    return [toxicity_assessed(day) for day in days]


def toxicity_times(
    cut: int | date,
    *participants: Sequence[Fact],
    attribution: Attribution = "all_causes",
    toxicity: ToxicitySelection | None = None,
    **changes: Any,
) -> EndpointTimes:
    """Returns the times of severe toxicity of participants at a cut-off."""
    chosen = selection(cut, **({"toxicity": toxicity} if toxicity else {}), **changes)
    return SevereToxicityEndpoint.of(cohort_of(participants), chosen).times(attribution)


def exits_of(times: EndpointTimes) -> list[tuple[int, int]]:
    """Returns the day and the cause of each exit: `NOTHING`, `TOXIC` or `DEAD`."""
    return list(zip(times.observations.exits.tolist(), times.observations.causes.tolist(), strict=True))


def severe_exits(cut: int, *participants: Sequence[Fact], **changes: Any) -> list[tuple[int, int]]:
    return exits_of(toxicity_times(cut, *participants, **changes))
