"""Progression-free survival: the time from the origin to the first evidence of progression, or death. Pure.

`disease.py` says what is evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from services.analytics.endpoints.disease import (
    censored_days,
    deaths_after_gap,
    deaths_after_missed_intervals,
    first_progressions,
)
from services.analytics.endpoints.exits import Exits, VitalStatus
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.time_to_event import EndpointTimes, observe_endpoint
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

PROGRESSION = 1
"""The cause of an event that is a progression; a death without progression has the same."""


def progression_free_survival(snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
    """Returns the times of the selected participants at the cut-off."""
    exits = VitalStatus.of(snapshot).exits(selection.cut_number)
    return observe_endpoint(snapshot, selection, progression_exits(snapshot, selection, exits))


def progression_exits(snapshot: StudySnapshot, selection: Selection, life: Exits) -> Exits:
    """Returns the ends of observation for progression, from those for death.

    Without an event, time ends on the last disease assessment, or on the origin if there is none after it.
    """
    progressed, censored = first_progressions(snapshot, selection), censored_days(snapshot, selection, life)
    has_progressed = progressed.day <= life.day
    is_event = has_progressed | (life.cause != CENSORED)
    return Exits(
        day=np.where(has_progressed, progressed.day, np.where(is_event, life.day, censored.day)).astype(np.int64),
        cause=np.where(is_event, PROGRESSION, CENSORED).astype(np.int64),
        precision=np.where(
            has_progressed, progressed.precision, np.where(is_event, life.precision, censored.precision)
        ),
    )


def other_progression_readings(
    snapshot: StudySnapshot, selection: Selection, times: EndpointTimes
) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
    """Yields the undivided times by each reading of the vital status that concerns somebody whom `times` count."""
    undivided = replace(selection, by=None)
    for reading in sensitivity_readings(snapshot, selection):
        if np.any(reading.applies[times.subjects]):
            exits = progression_exits(snapshot, undivided, reading.exits)
            yield reading.name, observe_endpoint(snapshot, undivided, exits)


def count_deaths_without_assessment(snapshot: StudySnapshot, selection: Selection, times: EndpointTimes) -> int:
    """Returns how many of those counted died without progression, and without a disease assessment in 183 days before.

    One before the origin is an assessment; the origin itself is none.
    """
    return _count_deaths(snapshot, selection, times, lambda snapshot, _, life: deaths_after_gap(snapshot, life))


def count_deaths_after_missed_intervals(snapshot: StudySnapshot, selection: Selection, times: EndpointTimes) -> int:
    """Returns how many of those counted died without progression, and after more than one missed interval of visits."""
    return _count_deaths(snapshot, selection, times, deaths_after_missed_intervals)


def _count_deaths(
    snapshot: StudySnapshot,
    selection: Selection,
    times: EndpointTimes,
    choose: Callable[[StudySnapshot, Selection, Exits], Mask],
) -> int:
    """Returns how many deaths without progression are chosen. Of two times of a participant, one has the death."""
    life = VitalStatus.of(snapshot).exits(selection.cut_number)
    is_death = first_progressions(snapshot, selection).day > life.day
    is_chosen = is_death & choose(snapshot, selection, life)
    return int(np.sum(is_chosen[times.subjects[times.observations.causes != CENSORED]]))
