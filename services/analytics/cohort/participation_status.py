"""Participation status: one vocabulary for the state of a participant in the study. Pure.

The service enrollment knows neither deaths nor losses to follow-up. It uses `withdrawn`, the milestones, and `voided`,
which does not occur here, because a voided participant is in no analysis.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from services.analytics.cohort.participant import Participant
from shared.contracts.enrollment import ConsentWithdrawn
from shared.contracts.follow_up import ParticipantDied
from shared.contracts.participation import MILESTONES, ParticipationStatus
from shared.kernel.fact import Fact

EndStatus = Literal["died", "withdrawn", "lost"]
FollowUpStatus = Literal["in_follow_up", "awaiting_treatment", "completed", EndStatus]
"""The status of an enrolled participant, in the participant flow."""
END_STATUSES: tuple[EndStatus, ...] = get_args(EndStatus)
"""The statuses that end participation, in order of precedence."""
_PRECEDENCE: tuple[ParticipationStatus, ...] = (*END_STATUSES, *(milestone for _, milestone in MILESTONES))
_FACTS_BY_STATUS: Mapping[ParticipationStatus, type[Fact]] = {
    "died": ParticipantDied,
    "withdrawn": ConsentWithdrawn,
    **{milestone: fact_type for fact_type, milestone in MILESTONES},
}
"""The fact of each status. A loss to follow-up is none alone: follow-up may have been resumed."""


def first_status(statuses: Collection[ParticipationStatus]) -> ParticipationStatus:
    """Returns the status of a participant for whom these hold: the first end, or the furthest milestone."""
    return next((status for status in _PRECEDENCE if status in statuses), "screening")


def participation_status(participant: Participant) -> ParticipationStatus:
    """Returns the status by all facts, those of days to come included."""
    statuses = {status for status, fact_type in _FACTS_BY_STATUS.items() if participant.counted(fact_type)}
    if participant.lost_to_follow_up_on:
        statuses.add("lost")
    return first_status(statuses)
