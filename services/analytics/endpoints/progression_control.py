"""Locoregional and distant control of participants, and the pattern of first failure, with death competing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from services.analytics.endpoints.disease import censored_days, deaths_after_gap, first_progressions
from services.analytics.endpoints.exits import Days, Exits, VitalStatus
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.time_to_event import EndpointTimes, observe_endpoint
from services.analytics.snapshot.columns import NEVER_NUMBER
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

Failure = Literal["locoregional", "distant", "first"]
"""The failure of an endpoint: locoregional or distant progression, or the first of any kind by its site."""
FirstFailure = Literal["local", "regional", "distant", "several"]
FIRST_FAILURES: tuple[FirstFailure, ...] = get_args(FirstFailure)
"""Sites of a first failure, in the order of their causes from 1 on; `several` on one day."""
FAILURE = 1
_LOCAL = ("local_primary", "local_node", "local_metastasis", "local")
PROGRESSION_CODES: Mapping[str, Sequence[str]] = {
    "locoregional": ("local_primary", "local_node", "regional"),
    "local": _LOCAL,
    "regional": ("regional",),
    "distant": ("distant",),
}
"""The codes of progressions: a local one has the kind of its lesion, or none if the lesion is not registered."""


def death_cause(failure: Failure) -> int:
    """Returns the number of the cause that is death without a failure: it follows those of the failures."""
    return 1 + (len(FIRST_FAILURES) if failure == "first" else FAILURE)


def progression_control(snapshot: StudySnapshot, selection: Selection, failure: Failure) -> EndpointTimes:
    """Returns the times of the selected participants at the cut-off, to a failure or to death without one.

    Without either, time ends on the last disease assessment, or on the origin if there is none after it.
    """
    life = VitalStatus.of(snapshot).exits(selection.cut_number)
    return observe_endpoint(snapshot, selection, _exits(snapshot, selection, failure, life))


def other_progression_control_readings(
    snapshot: StudySnapshot, selection: Selection, failure: Failure, times: EndpointTimes
) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
    """Yields the undivided times by each reading of the vital status that concerns somebody whom `times` count."""
    undivided = replace(selection, by=None)
    for reading in sensitivity_readings(snapshot, selection):
        if np.any(reading.applies[times.subjects]):
            yield (
                reading.name,
                observe_endpoint(snapshot, undivided, _exits(snapshot, undivided, failure, reading.exits)),
            )


def count_deaths_after_gap(
    snapshot: StudySnapshot, selection: Selection, failure: Failure, times: EndpointTimes
) -> int:
    """Returns how many of those counted died without a failure, and without a disease assessment in 183 days before."""
    is_after_gap = deaths_after_gap(snapshot, VitalStatus.of(snapshot).exits(selection.cut_number))
    return int(np.sum(is_after_gap[times.subjects[times.observations.causes == death_cause(failure)]]))


def _exits(snapshot: StudySnapshot, selection: Selection, failure: Failure, life: Exits) -> Exits:
    """Returns the ends of observation for a failure, which comes before a death on its day, from those for death."""
    failed, cause = _failures(snapshot, selection, failure)
    censored = censored_days(snapshot, selection, life)
    has_failed, has_died = failed.day <= life.day, life.cause != CENSORED
    return Exits(
        day=np.where(has_failed, failed.day, np.where(has_died, life.day, censored.day)).astype(np.int64),
        cause=np.where(has_failed, cause, np.where(has_died, death_cause(failure), CENSORED)).astype(np.int64),
        precision=np.where(has_failed, failed.precision, np.where(has_died, life.precision, censored.precision)),
    )


def _failures(snapshot: StudySnapshot, selection: Selection, failure: Failure) -> tuple[DayColumn, Days]:
    """Returns the day of each participant's failure, and the number of its cause."""
    if failure == "first":
        return _first_failures(snapshot, selection)
    failed = first_progressions(snapshot, selection, PROGRESSION_CODES[failure])
    return failed, np.full(len(failed.day), FAILURE, dtype=np.int64)


def _first_failures(snapshot: StudySnapshot, selection: Selection) -> tuple[DayColumn, Days]:
    """Returns the first progression of any kind of each participant, and the number of its site.

    The sites are read of the first day alone: what follows on another day is no part of the first failure.
    """
    sites = [
        first_progressions(snapshot, selection, PROGRESSION_CODES[site]) for site in ("local", "regional", "distant")
    ]
    first = first_progressions(snapshot, selection)
    is_first = np.stack([site.day == first.day for site in sites]) & (first.day < NEVER_NUMBER)
    single = np.argmax(is_first, axis=0)
    number = np.where(is_first.sum(axis=0) > 1, FIRST_FAILURES.index("several"), single)
    return first, number.astype(np.int64) + FAILURE
