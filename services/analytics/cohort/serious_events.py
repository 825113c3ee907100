"""Serious adverse events after all reports of them, in the order in which the site became aware. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.toxicity import Attribution, SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record

SeriousEventFact = SeriousEventReported | SeriousEventUpdated | SeriousEventResolved


@dataclass(slots=True)
class SeriousEvent:
    """A serious adverse event after all reports of it, with the facts that give its grade and its outcome.

    `report`: the first report; None where only later information is recorded. `grade`: the last that was stated.
    """

    grade_source: StatedFact[Fact]
    outcome_source: StatedFact[Fact] | None = None
    report: SeriousEventReported | None = None
    term: str | None = None
    grade: int | None = None
    highest_grade: int | None = None
    outcome: str | None = None
    attribution: tuple[Attribution, ...] = ()

    def apply(self, stated: StatedFact[Fact], fact: SeriousEventFact) -> None:
        """Adds what a report says; later reports replace what earlier ones said."""
        if isinstance(fact, SeriousEventReported):
            self.report = fact
        self.term = fact.term or self.term
        self.attribution = fact.attribution or self.attribution
        if fact.grade is not None:
            self.grade_source, self.grade = stated, fact.grade
            self.highest_grade = max(fact.grade, self.highest_grade or 0)
        if fact.outcome is not None:
            self.outcome_source, self.outcome = stated, fact.outcome


def serious_events(record: Record) -> dict[str, SeriousEvent]:
    """Returns the serious adverse events by id.

    Reports apply in the order in which the site became aware of them, whenever they were recorded.
    """
    first_reports = sorted(record.stated_of(SeriousEventReported), key=_chronological_key)
    follow_up_reports: list[StatedFact[SeriousEventFact]] = [
        *record.stated_of(SeriousEventUpdated),
        *record.stated_of(SeriousEventResolved),
    ]
    events: dict[str, SeriousEvent] = {}
    for stated in [*first_reports, *sorted(follow_up_reports, key=_chronological_key)]:
        events.setdefault(stated.fact.serious_event_id, SeriousEvent(stated)).apply(stated, stated.fact)
    return events


def _chronological_key(stated: StatedFact[SeriousEventFact]) -> tuple[datetime, bool, str]:
    """Returns the sort key of a report: when the site became aware; at one time a resolution comes last."""
    fact = stated.fact
    return fact.aware_at, isinstance(fact, SeriousEventResolved), fact.model_dump_json()
