"""The present values of a serious adverse event, which a report changes or keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.contracts.serious_events import reports_in_order
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Fact
from shared.kernel.record import Record

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
    for report in (stated.fact for stated in (reports_in_order(record) if fact in REPORTS else ())):
        if report.serious_event_id == named:
            stated_values = report.model_dump(mode="json", include=set(_MEMBERS))
            values |= {name: value for name, value in stated_values.items() if value not in (None, [])}
    return values
