"""Participation status: one vocabulary for the state of a participant in the study. Pure.

The service enrollment knows neither deaths nor losses to follow-up. It uses `withdrawn`, the milestones, and `voided`,
which does not occur here, because a voided participant is in no analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

from services.analytics.cohort.participant import Participant
from shared.contracts.enrollment import ConsentWithdrawn
from shared.contracts.follow_up import ParticipantDied
from shared.contracts.participation import MILESTONES, ParticipationStatus
from shared.protocol.schedule import PlanPeriod, schedules

FollowUpStatus = Literal["in_follow_up", "awaiting_treatment", "completed", "died", "withdrawn", "lost"]


def participation_status(participant: Participant, until: date = date.max) -> ParticipationStatus:
    """Returns the status by the facts until a day: died, withdrawn, lost, or the furthest milestone of enrollment."""
    if ended := _ended(participant, until):
        return ended
    return next((name for fact_type, name in MILESTONES if participant.facts(fact_type, until)), "screening")


def follow_up_status(participant: Participant, plans: Sequence[PlanPeriod], until: date) -> FollowUpStatus:
    """Returns the status of an enrolled participant: the first of died, withdrawn, lost and completed that holds, and
    otherwise in follow-up or awaiting treatment.

    Follow-up is completed once the slot of the last visit of every schedule has ended before `until`.
    """
    if ended := _ended(participant, until):
        return ended
    if not participant.index_course(until):
        return "awaiting_treatment"
    courses = participant.course_dates(until)
    index_has_ended = any(course.is_index and course.ended_on for course in courses)
    running = [schedule for schedule in schedules(plans, courses) if schedule.valid_to >= until]
    last_days = [schedule.visits[-1].slot_ends for schedule in running]
    return "completed" if index_has_ended and max(last_days) < until else "in_follow_up"


def _ended(participant: Participant, until: date) -> Literal["died", "withdrawn", "lost"] | None:
    if participant.facts(ParticipantDied, until):
        return "died"
    if participant.facts(ConsentWithdrawn, until):
        return "withdrawn"
    return "lost" if participant.lost_to_follow_up_on(until) else None
