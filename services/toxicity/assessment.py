"""What may be stated of a participant's adverse events, each fact in the light of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.contracts.toxicity import (
    Assessed,
    Finding,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
)
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection, Record


def objections(record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    match stated.fact:
        case Assessed(findings=findings):
            yield from _term_twice(findings)
        case SeriousEventReported(serious_event_id=event):
            same = [other for other in record.all(SeriousEventReported, but=stated) if _is_of(other, event)]
            yield from _in_the_way(
                "serious-event-exists",
                "The participant has a serious adverse event with this id already. Give another id.",
                same,
            )
        case SeriousEventUpdated(serious_event_id=event):
            yield from _not_reported(record, event)
        case SeriousEventResolved(serious_event_id=event):
            yield from _not_reported(record, event)
            ends = [other for other in record.all(SeriousEventResolved, but=stated) if _is_of(other, event)]
            yield from _in_the_way(
                "serious-event-resolved",
                "The serious adverse event is resolved already. To change that, correct the fact.",
                ends,
            )


def _term_twice(findings: tuple[Finding, ...]) -> Iterator[Objection]:
    terms = [finding.term for finding in findings]
    for place, term in enumerate(terms):
        if term in terms[:place]:
            message = "The assessment has this term already. Give each term once."
            yield Objection("term-twice", message, member=f"/findings/{place}/term")


def _not_reported(record: Record, event: str) -> Iterator[Objection]:
    if not any(_is_of(report, event) for report in record.all(SeriousEventReported)):
        message = "No serious adverse event with this id was reported. Check the id, or report it first."
        yield Objection("no-such-serious-event", message, member="/serious_event_id")


def _is_of(stated: Stated[SeriousEventReported] | Stated[SeriousEventResolved], event: str) -> bool:
    return stated.fact.serious_event_id == event


def _in_the_way(code: str, message: str, others: Sequence[Stated[Fact]]) -> Iterator[Objection]:
    for other in others:
        yield Objection(code, message, other.event_id, "/serious_event_id")
