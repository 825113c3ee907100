"""Overall survival: the time from the origin to death of any cause. Pure."""

from __future__ import annotations

from services.analytics.endpoints.exits import VitalStatus
from services.analytics.endpoints.time_to_event import EndpointTimes, observe_endpoint
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot


def overall_survival(snapshot: StudySnapshot, selection: Selection) -> EndpointTimes:
    """Returns the times of the selected participants at the cut-off; the only event is death with a date."""
    return observe_endpoint(snapshot, selection, VitalStatus.of(snapshot).exits(selection.cut_number))
