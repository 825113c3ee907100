"""The part of the command path that a service defines for each kind of stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.contracts.event import Event
from shared.eventstore.store import LoadedStream, StreamHead
from shared.gate.study_timeline import amendment_on
from shared.kernel.fact import Fact, effective_fact
from shared.kernel.record import Gate, Record, Rules

TextOpener = Callable[[Event], Mapping[str, str]]
"""Returns the sealed texts of an event by JSON pointer."""


class StreamPolicy(Protocol):
    """The rules and the gate of a kind of stream, and the head that lists and searches use."""

    @property
    def rules(self) -> Rules: ...

    def stating_site(self, head: StreamHead, facts: Sequence[Fact]) -> str | None:
        """Returns the stating site: the stream's, or for a new stream the one that its first fact names."""
        ...

    def other_streams(self, facts: Sequence[Fact]) -> frozenset[str]:
        """Returns the ids of other streams that the gate needs for these facts."""
        ...

    def gate(self, study_id: str, study_record: Record, stream: LoadedStream, site_id: str | None) -> Gate: ...

    def provenance(self, study_record: Record, stream: LoadedStream, fact: Fact) -> Mapping[str, Any]:
        """Returns what else than the study's version a decision depended on. It is stored with the event."""
        ...

    def needs_texts(self, stream: LoadedStream, events: Sequence[Event]) -> bool:
        """Returns whether the stream's head after these events depends on sealed texts."""
        ...

    def head_after(
        self, stream: LoadedStream, record: Record, events: Sequence[Event], open_texts: TextOpener
    ) -> StreamHead:
        """Returns site, search key and summary after the events. The command handler fills the versions in."""
        ...


@dataclass(frozen=True, slots=True)
class StreamPolicies:
    """The policies of a service. A service that records no facts of studies has none for them."""

    participant: StreamPolicy
    study: StreamPolicy | None = None

    def policy(self, *, is_study: bool) -> StreamPolicy:
        """Returns the policy of a study's or a participant's stream. Raises LookupError for a study's without one."""
        if not is_study:
            return self.participant
        if self.study is None:
            raise LookupError("the service records no facts of studies")
        return self.study


def amendment_provenance(study_record: Record, fact: Fact) -> Mapping[str, Any]:
    """Returns the protocol amendment in force on the fact's day; empty before the first one."""
    fact_date = effective_fact(fact).happened_on
    amendment = amendment_on(study_record, fact_date) if fact_date else None
    return {"amendment": amendment} if amendment else {}
