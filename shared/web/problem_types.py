"""The problem types of all services: those of the kernel, of the checks of the gates, and of problem documents."""

from __future__ import annotations

from shared.contracts.problem_types import declared_problem_types
from shared.gate import list_checks, participant_gate, planned_visits, study_timeline, text_checks
from shared.kernel import record
from shared.web import problems

SHARED_PROBLEM_TYPES = declared_problem_types(
    participant_gate, planned_visits, study_timeline, text_checks, list_checks, record, problems
)
