"""The words of the steps at which a visit is reminded of."""

from __future__ import annotations

from collections.abc import Mapping

from shared.protocol.reminder_steps import StepName

_STEPS: Mapping[StepName, str] = {
    "open": "The window opens",
    "target": "Target day",
    "overdue": "Overdue",
    "repeat-1": "Overdue, first repetition",
    "repeat-2": "Overdue, second repetition",
    "repeat-3": "Overdue, third repetition",
    "escalation": "Overdue, reported to the coordinators of the study",
    "missed": "Missed",
}


def describe_step(step: StepName) -> str:
    return _STEPS[step]
