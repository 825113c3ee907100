"""Serious adverse events after all reports of them, in the order in which the site became aware. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.serious_events import SeriousEventFact, reports_in_order
from shared.contracts.toxicity import Attribution, SeriousEventReported
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record


@dataclass(slots=True)
class SeriousEvent:
    """A serious adverse event after all reports of it, with the facts that give its grade and its outcome.

    `report`: the first report; None where only later information is recorded. `onset_source`: the last report that
    states the onset. `grade`: the last that was stated.
    """

    grade_source: StatedFact[Fact]
    outcome_source: StatedFact[Fact] | None = None
    onset_source: SeriousEventFact | None = None
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
        self.onset_source = fact if fact.onset_on else self.onset_source
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
    events: dict[str, SeriousEvent] = {}
    for stated in reports_in_order(record):
        events.setdefault(stated.fact.serious_event_id, SeriousEvent(stated)).apply(stated, stated.fact)
    return events
