"""What somebody states, what came of it, and how objections to it are told."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.kernel.fact import Corrected, Fact, Stated
from shared.kernel.record import Objection, Raised, Refused
from shared.kernel.refusal import Fault, NotKnownYet, Refusal, Unacceptable
from shared.kernel.sealed import texts


@dataclass(frozen=True, slots=True)
class VersionGuard:
    """The versions that the record may be at, one of which the client has read; None: any, but there must be one."""

    versions: frozenset[int] | None

    def allows(self, version: int, is_there: bool) -> bool:
        return is_there if self.versions is None else version in self.versions


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody states, at once, of one study or participant. `stream_id` None: of a participant yet unknown.

    `pointers[i]` is where fact i stands in the request's body; `request` is what makes two requests the same.
    `opens_study`: the caller was found entitled to open studies. `after`: the version of the participant, where they
    are registered, that this service is to know before it decides.
    """

    study_id: str
    stream_id: str | None
    facts: tuple[Fact, ...]
    pointers: tuple[str, ...]
    by: str
    request: bytes = b""
    key: str | None = None
    if_match: VersionGuard | None = None
    dry_run: bool = False
    opens_study: bool = False
    traceparent: str | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """What came of it: the events' ids, and the stream's version after them. Times are real, in UTC.

    `replayed`: the outcome of an earlier request is repeated; nothing was recorded now.
    """

    study_id: str
    stream_id: str
    version: int
    event_ids: tuple[UUID, ...]
    recorded_at: datetime
    replayed: bool = field(default=False, compare=False)

    def answer(self) -> dict[str, Any]:
        ids, at = [str(event_id) for event_id in self.event_ids], self.recorded_at.isoformat()
        return {"stream_id": self.stream_id, "version": self.version, "event_ids": ids, "recorded_at": at}

    @classmethod
    def of(cls, study_id: str, answer: Mapping[str, Any]) -> Recording:
        """Restore a stored answer."""
        ids = tuple(UUID(event_id) for event_id in answer["event_ids"])
        at = datetime.fromisoformat(answer["recorded_at"])
        return cls(study_id, answer["stream_id"], answer["version"], ids, at, replayed=True)


_OF_THE_SITE = "/local_reference"


def refuse_references(facts: Sequence[Fact], pointers: Sequence[str]) -> None:
    """Raise Unacceptable where a fact states a site's own reference, for whoever is not of that site.

    It is refused before anything is looked up or compared, so that nobody else can try references out.
    """
    message = "Only the site states its own reference. Leave it out: a correction keeps the present one."
    faults = [
        Fault("local-reference", message, f"{pointer}{within}")
        for fact, pointer in zip(facts, pointers, strict=True)
        for within, _ in texts(fact)
        if within.endswith(_OF_THE_SITE)
    ]
    if faults:
        raise Unacceptable(message, code="local-reference", faults=faults)


def unacceptable(
    refused: Refused, proposed: Sequence[Stated[Fact]], pointers: Sequence[str], *, may_be_on_its_way: bool = False
) -> Refusal:
    """Each objection, with a pointer into the body where it is about what is proposed.

    Where all of them are to what may be on its way here from another service, it is too early to refuse.
    """
    place = {stated.event_id: pointer for stated, pointer in zip(proposed, pointers, strict=True)}
    mended = {
        stated.fact.event_id: f"{pointer}/replacement/data"
        for stated, pointer in zip(proposed, pointers, strict=True)
        if isinstance(stated.fact, Corrected) and stated.fact.replacement
    }
    raised = [pair for pair in refused.raised if not _is_mirrored(pair, refused.raised, place)]
    faults = [_fault(event_id, objection, place, mended) for event_id, objection in raised]
    if may_be_on_its_way and all(objection.not_known for _, objection in refused.raised):
        return NotKnownYet(faults=faults)
    return Unacceptable(faults[0].message, code=faults[0].code, faults=faults)


def _is_mirrored(pair: Raised, raised: Sequence[Raised], proposed: Container[UUID]) -> bool:
    """Two facts that exclude each other object to each other: of what is recorded, that says nothing new."""
    (event_id, objection), in_the_way = pair, pair[1].because_of
    return event_id not in proposed and any(
        (other, each.code, each.because_of) == (in_the_way, objection.code, event_id) for other, each in raised
    )


def _fault(event_id: UUID, objection: Objection, place: Mapping[UUID, str], mended: Mapping[UUID, str]) -> Fault:
    because = objection.because_of
    if event_id in place or event_id in mended:
        within = place[event_id] if event_id in place else mended[event_id]
        return Fault(objection.code, objection.message, within + objection.member, str(because) if because else None)
    return Fault(objection.code, objection.message, "", str(event_id))
