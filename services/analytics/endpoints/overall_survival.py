"""Overall survival: the time from the origin to death of any cause. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from services.analytics.endpoints.exits import VitalStatus
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.time_to_event import EndpointTimes, observe_endpoint
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot

D = TypeVar("D", bound=str)


def overall_survival(snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
    """Returns the times of the selected participants at the cut-off; the only event is death with a date."""
    return observe_endpoint(snapshot, selection, VitalStatus.of(snapshot).exits(selection.cut_number))


def survival_by_division(
    snapshot: StudySnapshot, selection: Selection, divisions: Iterable[D]
) -> Iterator[tuple[D, EndpointTimes]]:
    """Yields the times of the selected participants by each of several divisions."""
    exits = VitalStatus.of(snapshot).exits(selection.cut_number)
    for by in divisions:
        yield by, observe_endpoint(snapshot, replace(selection, by=by), exits)


def other_readings(
    snapshot: StudySnapshot, selection: Selection, times: EndpointTimes
) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
    """Yields the undivided times by each reading that concerns somebody whom `times` count."""
    undivided = replace(selection, by=None)
    for reading in sensitivity_readings(snapshot, selection):
        if np.any(reading.applies[times.subjects]):
            yield reading.name, observe_endpoint(snapshot, undivided, reading.exits)
