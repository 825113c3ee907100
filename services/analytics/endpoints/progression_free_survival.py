"""Progression-free survival: the time from the origin to the first evidence of progression, or death. Pure.

Evidence is a stated progression, or a contact that sees a lesion, a region or distant disease progressed. The day is
that of the first evidence after the origin, so it never moves as the cut-off grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from services.analytics.endpoints.exits import Exits, VitalStatus
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.time_to_event import EndpointTimes, observe_endpoint
from services.analytics.snapshot.columns import NEVER_NUMBER, Table
from services.analytics.snapshot.flow import DayColumn, first_days, last_days
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

PROGRESSION = 1
"""The cause of an event that is a progression; a death without progression has the same."""
LONG_WITHOUT_ASSESSMENT = 183
"""Days before a death. A death with no disease assessment in them came long after the last one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Disease:
    """The first progression of each participant after the origin, and the last disease assessment by the exit."""

    progressed: DayColumn
    assessed: DayColumn


def progression_free_survival(snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
    """Returns the times of the selected participants at the cut-off."""
    exits = VitalStatus.of(snapshot).exits(selection.cut_number)
    return observe_endpoint(snapshot, selection, progression_exits(snapshot, selection, exits))


def progression_exits(snapshot: StudySnapshot, selection: Selection, life: Exits) -> Exits:
    """Returns the ends of observation for progression, from those for death.

    Without an event, time ends on the last disease assessment, or on the origin if there is none after it. An end
    before the origin stays there: nobody is counted here who is not counted in overall survival for it.
    """
    disease = _disease(snapshot, selection, life)
    has_progressed = disease.progressed.day <= life.day
    is_event = has_progressed | (life.cause != CENSORED)
    origin = origin_days(snapshot, selection)
    is_assessed = disease.assessed.day < NEVER_NUMBER
    censored_on = np.where(is_assessed, disease.assessed.day, np.minimum(origin.day, life.day))
    censored_precision = np.where(is_assessed, disease.assessed.precision, origin.precision)
    day = np.where(has_progressed, disease.progressed.day, np.where(is_event, life.day, censored_on))
    return Exits(
        day=day.astype(np.int64),
        cause=np.where(is_event, PROGRESSION, CENSORED).astype(np.int64),
        precision=np.where(
            has_progressed, disease.progressed.precision, np.where(is_event, life.precision, censored_precision)
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

    Of two times of a participant, only that with the death is looked at. The origin is no assessment.
    """
    life = VitalStatus.of(snapshot).exits(selection.cut_number)
    disease = _disease(snapshot, selection, life)
    is_death = (life.cause != CENSORED) & (disease.progressed.day > life.day)
    last = np.where(disease.assessed.day < NEVER_NUMBER, disease.assessed.day, -NEVER_NUMBER).astype(np.int64)
    is_long_ago = is_death & (life.day - last > LONG_WITHOUT_ASSESSMENT)
    return int(np.sum(is_long_ago[times.subjects[times.observations.causes != CENSORED]]))


def _disease(snapshot: StudySnapshot, selection: Selection, life: Exits) -> _Disease:
    """Returns the days of the disease that are after the origin."""
    origin = origin_days(snapshot, selection).day
    progressions, assessments = (_of_kind(snapshot, kind) for kind in ("progression", "disease_assessment"))
    is_new = progressions["day_on"] > origin[snapshot.subject_indexes(progressions)]
    subjects = snapshot.subject_indexes(assessments)
    is_observed = (assessments["day_on"] > origin[subjects]) & (assessments["day_on"] <= life.day[subjects])
    return _Disease(
        progressed=first_days(snapshot, progressions.where(is_new), "day_on", "day_precision"),
        assessed=last_days(snapshot, assessments.where(is_observed), "day_on", "day_precision"),
    )


def _of_kind(snapshot: StudySnapshot, kind: str) -> Table:
    days = snapshot.tables["subject_day"]
    return days.where(days["kind"] == snapshot.words.code(kind))
