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
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.follow_up import clark_completeness
from services.analytics.statistics.risk_sets import CENSORED


@dataclass(frozen=True, slots=True)
class RecentProofs:
    """The enrolled participants who are not known dead, and those of them with a recent proof of life."""

    living: int
    current: int


def follow_up_times(snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
    """Returns the times of overall survival with the end of follow-up as the event, and death as censoring.

    A participant whose death has no date is censored: nobody lost sight of them.
    """
    times = overall_survival(snapshot, selection)
    undated = (snapshot.subjects["died_precision"] == UNDATED) & (
        snapshot.subjects["dead_from"] <= selection.cut_number
    )
    is_followed_up = (times.observations.causes == CENSORED) & ~undated[times.subjects]
    return replace(times, observations=times.observations.with_causes(is_followed_up))


def completeness(snapshot: StudySnapshot, selection: Selection) -> float | None:
    """Returns Clark's C of those counted in overall survival, from the origin; None if no day was possible.

    Possible are the days to the death, of a death without a date those observed, and of all others those to the
    cut-off or the end of planned follow-up. Observed days are capped alike.
    """
    times = overall_survival(snapshot, replace(selection, by=None))
    subjects, origins, observed = times.subjects, times.origins, times.observations.exits
    planned = np.minimum(selection.cut_number, completion_days(snapshot, selection.cut_number).day.astype(np.int64))
    potential = np.minimum(planned, snapshot.subjects["died_on"])[subjects] - origins
    is_event = times.observations.causes != CENSORED
    is_undated = (snapshot.subjects["died_precision"] == UNDATED)[subjects]
    return clark_completeness(observed, _not_negative(np.where(is_event | is_undated, observed, potential)))


def _not_negative(days: Days) -> Days:
    return np.maximum(days, 0)


def currency(snapshot: StudySnapshot, selection: Selection) -> RecentProofs:
    """Returns how many of the living have a proof of life within a visit interval and its window before the cut."""
    cut, subjects = selection.cut_number, snapshot.subjects
    living = selection.subjects(snapshot) & (subjects["enrolled_on"] <= cut) & (subjects["dead_from"] > cut)
    is_current = VitalStatus.of(snapshot).proved.alive.day >= recent_since(snapshot, selection)
    return RecentProofs(living=int(np.sum(living)), current=int(np.sum(living & is_current)))
