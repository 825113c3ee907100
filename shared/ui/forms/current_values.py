"""The present values of a serious adverse event, which a report changes or keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Fact
from shared.kernel.record import Record

Report = SeriousEventReported | SeriousEventUpdated | SeriousEventResolved
REPORTS = (SeriousEventUpdated, SeriousEventResolved)
_MEMBERS = frozenset({"term", "grade", "onset_on", "seriousness", "outcome", "attribution"})


def current_values(record: Record, fact: type[Fact], event_id: str) -> Mapping[str, Any]:
    """Returns the values of an event after all its reports, by member; of the only one without an id.

    Reports apply in the order in which the site became aware, as in figures. Nothing for facts that are no report of
    an event.
    """
    events = record.facts_of(SeriousEventReported)
    named = event_id or (events[0].serious_event_id if len(events) == 1 else "")
    values: dict[str, Any] = {}
    for report in sorted(_reports(record), key=_chronological_key) if fact in REPORTS else ():
        if report.serious_event_id == named:
            stated_values = report.model_dump(mode="json", include=set(_MEMBERS))
            values |= {name: value for name, value in stated_values.items() if value not in (None, [])}
    return values


def _reports(record: Record) -> list[Report]:
    return [
        *record.facts_of(SeriousEventReported),
        *record.facts_of(SeriousEventUpdated),
        *record.facts_of(SeriousEventResolved),
    ]


def _chronological_key(report: Report) -> tuple[bool, datetime, bool, str]:
    """Returns the sort key of a report: the first one, then by awareness; at one time a resolution comes last."""
    is_follow_up, is_end = not isinstance(report, SeriousEventReported), isinstance(report, SeriousEventResolved)
    return is_follow_up, report.aware_at, is_end, report.model_dump_json()
