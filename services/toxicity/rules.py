"""The rules of a participant's adverse events."""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.toxicity import (
    Finding,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
    ToxicityAssessed,
)
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.record import Record

SERIOUS_EVENT_EXISTS = ProblemType(
    "serious-event-exists",
    "The participant has a serious adverse event with this id already. Give another id.",
)
SERIOUS_EVENT_RESOLVED = ProblemType(
    "serious-event-resolved",
    "The serious adverse event is resolved already. To change that, correct the fact.",
)
TERM_TWICE = ProblemType("term-twice", "The assessment has this term already. Give each term once.")
NO_SUCH_SERIOUS_EVENT = ProblemType(
    "no-such-serious-event",
    "No serious adverse event with this id was reported. Check the id, or report it first.",
)


def objections(record: Record, stated: StatedFact[Fact]) -> Iterator[Objection]:
    """Yields the objections to one fact in the light of the other facts of the record."""
    match stated.fact:
        case ToxicityAssessed(findings=findings):
            yield from _check_terms_unique(findings)
        case SeriousEventReported(serious_event_id=event_id):
            reports = [
                other
                for other in record.stated_of(SeriousEventReported, except_for=stated)
                if _has_event_id(other, event_id)
            ]
            yield from SERIOUS_EVENT_EXISTS.conflicts_with(reports, "/serious_event_id")
        case SeriousEventUpdated(serious_event_id=event_id):
            yield from _check_reported(record, event_id)
        case SeriousEventResolved(serious_event_id=event_id):
            yield from _check_reported(record, event_id)
            ends = [
                other
                for other in record.stated_of(SeriousEventResolved, except_for=stated)
                if _has_event_id(other, event_id)
            ]
            yield from SERIOUS_EVENT_RESOLVED.conflicts_with(ends, "/serious_event_id")


def _check_terms_unique(findings: tuple[Finding, ...]) -> Iterator[Objection]:
    terms = [finding.term for finding in findings]
    for index, term in enumerate(terms):
        if term in terms[:index]:
            yield TERM_TWICE.objection(pointer=f"/findings/{index}/term")


def _check_reported(record: Record, event_id: str) -> Iterator[Objection]:
    if not any(_has_event_id(report, event_id) for report in record.stated_of(SeriousEventReported)):
        yield NO_SUCH_SERIOUS_EVENT.objection(pointer="/serious_event_id")


def _has_event_id(stated: StatedFact[SeriousEventReported] | StatedFact[SeriousEventResolved], event_id: str) -> bool:
    return stated.fact.serious_event_id == event_id
