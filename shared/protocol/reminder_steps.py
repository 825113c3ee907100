"""Names of the steps at which a visit is reminded of, their audiences, and the reasons for which none is sent."""

from __future__ import annotations

from typing import Literal, get_args

from shared.protocol.visit_status import EndReason

StepName = Literal["open", "target", "overdue", "repeat-1", "repeat-2", "repeat-3", "escalation", "missed"]
CHOSEN_STEPS: tuple[StepName, ...] = ("open", "target", "overdue")
"""The steps among which a protocol chooses. Repetitions come with `overdue`, the others always."""
Audience = Literal["site", "study"]
"""The site that follows the participant, or those who coordinate the whole study."""
AUDIENCES: tuple[Audience, ...] = get_args(Audience)
Reason = (
    EndReason
    | Literal[
        "reported",
        "declared",
        "declared_missed",
        "excluded",
        "no_schedule",
        "moved",
        "snoozed",
        "acknowledged",
        "scheduled",
        "superseded",
        "no_recipient",
        "expired",
        "not_current",
    ]
)
"""Why a reminder is suppressed."""
