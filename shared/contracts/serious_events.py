"""The order in which the reports of a participant's serious adverse events apply."""

from __future__ import annotations

from datetime import datetime

from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import StatedFact
from shared.kernel.record import Record

SeriousEventFact = SeriousEventReported | SeriousEventUpdated | SeriousEventResolved


def reports_in_order(record: Record) -> list[StatedFact[SeriousEventFact]]:
    """Returns the reports of all events: first reports, then the others as the site became aware of what they say.

    The order of recording has no influence.
    """
    first_reports = sorted(record.stated_of(SeriousEventReported), key=_chronological_key)
    follow_up_reports: list[StatedFact[SeriousEventFact]] = [
        *record.stated_of(SeriousEventUpdated),
        *record.stated_of(SeriousEventResolved),
    ]
    return [*first_reports, *sorted(follow_up_reports, key=_chronological_key)]


def _chronological_key(stated: StatedFact[SeriousEventFact]) -> tuple[datetime, bool, str]:
    """Returns the sort key of a report: when the site became aware; at one time a resolution comes last."""
    fact = stated.fact
    return fact.aware_at, isinstance(fact, SeriousEventResolved), fact.model_dump_json()
