"""The command that records facts, its result, and the error that objections to it become."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.kernel.errors import Fault, ForeignReference, NotKnownYet, RequestError, RequestRejected
from shared.kernel.fact import Correction, Fact, StatedFact
from shared.kernel.objection import Objection, RaisedObjection, RuleViolation
from shared.kernel.sealed_text import extract_texts


@dataclass(frozen=True, slots=True)
class VersionGuard:
    """The versions that If-Match names. None allows every version of a record that exists."""

    versions: frozenset[int] | None

    def allows(self, version: int, exists: bool) -> bool:
        """Returns whether a record of this version may be changed."""
        return exists if self.versions is None else version in self.versions


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """A request to record facts of one study or participant together.

    `stream_id` is None for a new participant. `pointers[i]` is the JSON pointer of fact i in the request's body.
    `request` are the bytes that make two requests the same. `opens_study`: the caller may open studies. `after` is the
    version of the participant in enrollment that this service has to know before it decides.
    """

    study_id: str
    stream_id: str | None
    facts: tuple[Fact, ...]
    pointers: tuple[str, ...]
    member: str
    request: bytes = b""
    key: str | None = None
    if_match: VersionGuard | None = None
    dry_run: bool = False
    opens_study: bool = False
    traceparent: str | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """The result of a command: the ids of its events, and the stream's version after them. Times are in UTC.

    `replayed`: the result of an earlier request is repeated, and nothing was recorded now.
    """

    study_id: str
    stream_id: str
    version: int
    event_ids: tuple[UUID, ...]
    recorded_at: datetime
    replayed: bool = field(default=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        ids, timestamp = [str(event_id) for event_id in self.event_ids], self.recorded_at.isoformat()
        return {"stream_id": self.stream_id, "version": self.version, "event_ids": ids, "recorded_at": timestamp}

    @classmethod
    def from_json(cls, study_id: str, answer: Mapping[str, Any]) -> RecordedFacts:
        """Restores a stored answer."""
        return cls(
            study_id=study_id,
            stream_id=answer["stream_id"],
            version=answer["version"],
            event_ids=tuple(UUID(event_id) for event_id in answer["event_ids"]),
            recorded_at=datetime.fromisoformat(answer["recorded_at"]),
            replayed=True,
        )


_LOCAL_REFERENCE = "/local_reference"


def refuse_references(facts: Sequence[Fact], pointers: Sequence[str]) -> None:
    """Raises ForeignReference if a fact contains a site's own reference. Called for callers who are not of that site.

    The check comes before anything is looked up or compared, so that other callers cannot try references out.
    """
    message = "Only the site states its own reference. Leave it out: a correction keeps the present one."
    faults = [
        Fault(ForeignReference.code, message, f"{pointer}{text_pointer}")
        for fact, pointer in zip(facts, pointers, strict=True)
        for text_pointer, _ in extract_texts(fact)
        if text_pointer.endswith(_LOCAL_REFERENCE)
    ]
    if faults:
        raise ForeignReference(message, faults=faults)


def to_request_error(
    violation: RuleViolation,
    proposed: Sequence[StatedFact[Fact]],
    pointers: Sequence[str],
    *,
    may_be_on_its_way: bool = False,
) -> RequestError:
    """Makes an error of the objections. Objections to proposed facts get a pointer into the request's body.

    `may_be_on_its_way`: return NotKnownYet if everything that is missing may still arrive from another service.
    """
    pointer_by_event = {stated.event_id: pointer for stated, pointer in zip(proposed, pointers, strict=True)}
    pointer_by_corrected_event = {
        stated.fact.event_id: f"{pointer}/replacement/data"
        for stated, pointer in zip(proposed, pointers, strict=True)
        if isinstance(stated.fact, Correction) and stated.fact.replacement
    }
    reported = [
        pair
        for pair in violation.raised_objections
        if not _is_mirrored(pair, violation.raised_objections, pointer_by_event)
    ]
    faults = [
        _fault(event_id, objection, pointer_by_event, pointer_by_corrected_event) for event_id, objection in reported
    ]
    if may_be_on_its_way and all(objection.may_arrive_later for _, objection in violation.raised_objections):
        return NotKnownYet(faults=faults)
    return RequestRejected(faults[0].message, code=faults[0].code, faults=faults)


def _is_mirrored(
    raised_objection: RaisedObjection, all_raised: Sequence[RaisedObjection], proposed_ids: Container[UUID]
) -> bool:
    """Returns whether a recorded fact repeats the objection of a proposed fact that it excludes."""
    (event_id, objection), excluded_event_id = raised_objection, raised_objection[1].because_of
    return event_id not in proposed_ids and any(
        (other_event_id, other_objection.code, other_objection.because_of)
        == (excluded_event_id, objection.code, event_id)
        for other_event_id, other_objection in all_raised
    )


def _fault(
    event_id: UUID,
    objection: Objection,
    pointer_by_event: Mapping[UUID, str],
    pointer_by_corrected_event: Mapping[UUID, str],
) -> Fault:
    because_of = objection.because_of
    if event_id in pointer_by_event or event_id in pointer_by_corrected_event:
        base = pointer_by_event[event_id] if event_id in pointer_by_event else pointer_by_corrected_event[event_id]
        return Fault(
            objection.code, objection.message, base + objection.pointer, str(because_of) if because_of else None
        )
    return Fault(objection.code, objection.message, "", str(event_id))
