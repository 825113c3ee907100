"""Time 0 of each participant: the day from which a time to an event is counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.endpoints.stereotactic import stereotactic_days
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.gate.study_timeline import protocol_on

ORIGIN_WORDS: Mapping[Origin, str] = {
    "diagnosed": "diagnosis",
    "enrolled": "enrollment",
    "rt_start": "the start of the index course",
    "rt_end": "the end of the index course",
    "stereotactic_start": "the start of the first stereotactic course",
}
_COLUMNS: Mapping[Origin, str] = {
    "diagnosed": "diagnosed",
    "enrolled": "enrolled",
    "rt_start": "index_started",
    "rt_end": "index_ended",
}


def chosen_origin(snapshot: StudySnapshot, selection: Selection) -> Origin:
    """Returns the origin that the selection asks for, or that of the protocol in force on the cut-off."""
    return selection.origin or protocol_on(snapshot.study, selection.cut_date).survival_origin


def origin_days(snapshot: StudySnapshot, selection: Selection) -> DayColumn:
    """Returns the day of the origin of each participant, `NEVER_NUMBER` without one. Only the index course is one."""
    origin = chosen_origin(snapshot, selection)
    if origin == "stereotactic_start":
        return stereotactic_days(snapshot, selection.cut_date).started
    name = _COLUMNS[origin]
    return DayColumn(snapshot.subjects[f"{name}_on"], snapshot.subjects[f"{name}_precision"])
