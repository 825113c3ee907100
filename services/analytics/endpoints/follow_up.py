"""The follow-up of a cohort: how long it was observed, of how much possible time, and how recently. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.endpoints.exits import Days, VitalStatus
from services.analytics.endpoints.observed_time import recent_since
from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.snapshot.flow import completion_days
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.follow_up import clark_completeness
from services.analytics.statistics.risk_sets import CENSORED


@dataclass(frozen=True, slots=True)
class RecentProofs:
    """The enrolled participants who are not known dead, and those of them with a recent proof of life."""

    living: int
    current: int


def follow_up_times(snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
    """Returns the times of overall survival with the end of follow-up as the event, and death as censoring.

    A participant whose death has no date is censored, and so is the time before a group is reached: nobody lost sight
    of them.
    """
    times, cut = overall_survival(snapshot, selection), selection.cut_number
    ends = VitalStatus.of(snapshot).exits(cut).day[times.subjects]
    is_last = times.origins + times.observations.exits == ends
    is_alive = (times.observations.causes == CENSORED) & ~_has_undated_death(snapshot, cut)[times.subjects]
    return replace(times, observations=times.observations.with_causes(is_last & is_alive))


def completeness(snapshot: StudySnapshot, selection: Selection) -> float | None:
    """Returns Clark's C of those counted in overall survival, from the origin; None if no day was possible.

    Possible are the days to the death, of a death without a date those observed, and of all others those to the
    cut-off or the end of planned follow-up. Observed days are capped alike.
    """
    times, cut = overall_survival(snapshot, replace(selection, by=None)), selection.cut_number
    subjects, origins, observed = times.subjects, times.origins, times.observations.exits
    planned = np.minimum(cut, completion_days(snapshot, cut).day.astype(np.int64))
    potential = np.minimum(planned, snapshot.subjects["died_on"])[subjects] - origins
    is_event = times.observations.causes != CENSORED
    is_undated = _has_undated_death(snapshot, cut)[subjects]
    return clark_completeness(observed, _not_negative(np.where(is_event | is_undated, observed, potential)))


def _has_undated_death(snapshot: StudySnapshot, cut: int) -> Mask:
    """Returns which participants are dead at the cut-off, and have been since their last proof of life."""
    subjects = snapshot.subjects
    is_undated: Mask = (subjects["died_precision"] == UNDATED) & (subjects["dead_from"] <= cut)
    return is_undated


def _not_negative(days: Days) -> Days:
    return np.maximum(days, 0)


def currency(snapshot: StudySnapshot, selection: Selection) -> RecentProofs:
    """Returns how many of the living have a proof of life within a visit interval and its window before the cut.

    A contact or a death after the cut-off proves life on it. What a registry would have reported is no proof.
    """
    cut, subjects = selection.cut_number, snapshot.subjects
    living = selection.subjects(snapshot) & (subjects["enrolled_on"] <= cut) & (subjects["dead_from"] > cut)
    is_current = VitalStatus.of(snapshot).proved.exits(cut).day >= recent_since(snapshot, selection)
    return RecentProofs(living=int(np.sum(living)), current=int(np.sum(living & is_current)))
