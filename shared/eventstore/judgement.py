"""What the command path asks of a service about one kind of stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from shared.contracts.event import Event
from shared.eventstore.store import Head, Recalled
from shared.gate.study import amendment_on
from shared.kernel.fact import Fact, content
from shared.kernel.record import Gate, Record, Rules

Open = Callable[[Event], Mapping[str, str]]
"""The sealed texts of an event, by JSON pointer."""


class Judgement(Protocol):
    """The rules, the gate, and the view that is kept of the stream."""

    @property
    def rules(self) -> Rules: ...

    def site(self, head: Head, facts: Sequence[Fact]) -> str | None:
        """The site that states: that of the stream, or, for a new one, the one its first fact names."""
        ...

    def others(self, facts: Sequence[Fact]) -> frozenset[str]:
        """Other streams that the gate looks into, to judge these facts or what stands of another such stream."""
        ...

    def gate(self, study_id: str, study: Record, recalled: Recalled, site_id: str | None) -> Gate: ...

    def judged_by(self, study: Record, recalled: Recalled, fact: Fact) -> Mapping[str, Any]:
        """What a fact was judged by, beyond the study's version, to be kept with it."""
        ...

    def needs_texts(self, recalled: Recalled, events: Sequence[Event]) -> bool:
        """Must sealed texts be opened to say what the stream's head is after these events?"""
        ...

    def head(self, recalled: Recalled, record: Record, events: Sequence[Event], opened: Open) -> Head:
        """Site, search key and summary after the events; the versions are the recorder's to fill in."""
        ...


def amended_by(study: Record, fact: Fact) -> Mapping[str, Any]:
    """The protocol's amendment on the fact's day; none before the first."""
    on = content(fact).happened_on
    amendment = amendment_on(study, on) if on else None
    return {"amendment": amendment} if amendment else {}
