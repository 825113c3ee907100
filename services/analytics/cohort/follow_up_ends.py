"""The end and the interruptions of a participant's follow-up, as visits and data queries count them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from services.analytics.cohort.date_imputation import AnalysisDay
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.study_plans import StudyPlans
from shared.contracts.enrollment import ConsentWithdrawn
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp, ParticipantDied
from shared.contracts.participation import current_site
from shared.protocol.visit_status import Absence, FollowUpEnd, FollowUpEnds, earliest_end, standing_loss


class StatedAbsence(NamedTuple):
    """A loss to follow-up, and the first resumption on or after its day; `resumption_day` is None without one."""

    loss: LostToFollowUp
    loss_day: AnalysisDay
    resumption_day: AnalysisDay | None


def stated_absences(participant: Participant) -> list[StatedAbsence]:
    """Returns the losses to follow-up that analyses count, the earliest first."""
    resumption_days = [participant.analysis_day(resumption) for resumption in participant.counted(FollowUpResumed)]
    absences = list[StatedAbsence]()
    for loss in participant.counted(LostToFollowUp):
        loss_day = participant.analysis_day(loss)
        resumption_day = min((day for day in resumption_days if day.on >= loss_day.on), default=None)
        absences.append(StatedAbsence(loss, loss_day, resumption_day))
    return absences


def follow_up_ends(participant: Participant, plans: StudyPlans) -> FollowUpEnds:
    """Returns what ends and interrupts the follow-up of a participant, at the current site.

    A death without a date ends follow-up on the last day known alive, which is not before the anchor of any visit.
    """
    absences = tuple(
        Absence(absence.loss_day.on, absence.resumption_day.on if absence.resumption_day else None)
        for absence in stated_absences(participant)
    )
    loss = standing_loss(absences)
    return FollowUpEnds(
        ended=earliest_end([*_stated_ends(participant), *([loss] if loss else [])]),
        closing=earliest_end(_closings(participant, plans)),
        absences=absences,
    )


def _stated_ends(participant: Participant) -> Iterator[FollowUpEnd]:
    for death in participant.counted(ParticipantDied):
        yield FollowUpEnd(participant.day(death), "died")
    for withdrawal in participant.counted(ConsentWithdrawn):
        yield FollowUpEnd(participant.day(withdrawal), "withdrew")


def _closings(participant: Participant, plans: StudyPlans) -> Iterator[FollowUpEnd]:
    site_closed_on = plans.site_closings.get(current_site(participant.record) or "")
    if site_closed_on is not None:
        yield FollowUpEnd(site_closed_on, "site_closed")
    if plans.closed_on != date.max:
        yield FollowUpEnd(plans.closed_on, "study_ended")
