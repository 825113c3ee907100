"""Participation status: one vocabulary for the state of a participant in the study. Pure.

The service enrollment knows neither deaths nor losses to follow-up. It uses `withdrawn`, the milestones, and `voided`,
which does not occur here, because a voided participant is in no analysis.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from services.analytics.cohort.participant import Participant
from shared.contracts.enrollment import ConsentWithdrawn
from shared.contracts.follow_up import ParticipantDied
from shared.contracts.participation import MILESTONES, ParticipationStatus
from shared.protocol.anchors import find_anchor
from shared.protocol.protocol import Protocol
from shared.protocol.schedule import planned_visits

FollowUpStatus = Literal["in_follow_up", "awaiting_treatment", "completed", "died", "withdrawn", "lost"]


def participation_status(participant: Participant, until: date = date.max) -> ParticipationStatus:
    """Returns the status by the facts until a day: died, withdrawn, lost, or the furthest milestone of enrollment."""
    if ended := _ended(participant, until):
        return ended
    return next((name for fact_type, name in MILESTONES if participant.facts(fact_type, until)), "screening")


def follow_up_status(participant: Participant, protocol: Protocol, until: date) -> FollowUpStatus:
    """Returns the status of an enrolled participant: the first of died, withdrawn, lost and completed that holds, and
    otherwise in follow-up or awaiting treatment.

    Follow-up is completed once the slot of the last visit has ended before `until`.
    """
    if ended := _ended(participant, until):
        return ended
    anchor = find_anchor(protocol.follow_up, participant.course_dates(until))
    if anchor and planned_visits(protocol.follow_up, anchor.day)[-1].slot_ends < until:
        return "completed"
    return "in_follow_up" if participant.index_course(until) else "awaiting_treatment"


def _ended(participant: Participant, until: date) -> Literal["died", "withdrawn", "lost"] | None:
    if participant.facts(ParticipantDied, until):
        return "died"
    if participant.facts(ConsentWithdrawn, until):
        return "withdrawn"
    return "lost" if participant.lost_to_follow_up_on(until) else None
