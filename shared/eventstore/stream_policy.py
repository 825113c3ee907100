"""What the command path asks of a service about one kind of stream."""

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
"""The sealed texts of an event, by JSON pointer."""


class StreamPolicy(Protocol):
    """The rules, the gate, and the view that is kept of the stream."""

    @property
    def rules(self) -> Rules: ...

    def stating_site(self, head: StreamHead, facts: Sequence[Fact]) -> str | None:
        """The site that states: that of the stream, or, for a new one, the one its first fact names."""
        ...

    def other_streams(self, facts: Sequence[Fact]) -> frozenset[str]:
        """Other streams that the gate looks into, to judge these facts or what stands of another such stream."""
        ...

    def gate(self, study_id: str, study_record: Record, stream: LoadedStream, site_id: str | None) -> Gate: ...

    def provenance(self, study_record: Record, stream: LoadedStream, fact: Fact) -> Mapping[str, Any]:
        """What a fact was judged by, beyond the study's version, to be kept with it."""
        ...

    def needs_texts(self, stream: LoadedStream, events: Sequence[Event]) -> bool:
        """Must sealed texts be opened to say what the stream's head is after these events?"""
        ...

    def head_after(
        self, stream: LoadedStream, record: Record, events: Sequence[Event], open_texts: TextOpener
    ) -> StreamHead:
        """Site, search key and summary after the events; the versions are the recorder's to fill in."""
        ...


@dataclass(frozen=True, slots=True)
class StreamPolicies:
    """The policies of a service. A service that records no facts of studies has none for them."""

    participant: StreamPolicy
    study: StreamPolicy | None = None

    def policy(self, *, is_study: bool) -> StreamPolicy:
        """Return the policy of a study's or a participant's stream. Raises LookupError for a study's without one."""
        if not is_study:
            return self.participant
        if self.study is None:
            raise LookupError("the service records no facts of studies")
        return self.study


def amendment_provenance(study_record: Record, fact: Fact) -> Mapping[str, Any]:
    """The protocol's amendment on the fact's day; none before the first."""
    fact_date = effective_fact(fact).happened_on
    amendment = amendment_on(study_record, fact_date) if fact_date else None
    return {"amendment": amendment} if amendment else {}
