"""What the command path asks of a service about one kind of stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from shared.contracts.event import Event
from shared.eventstore.store import Head, Recalled
from shared.kernel.fact import Fact
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

    def gate(self, study_id: str, study: Record, recalled: Recalled, site_id: str | None) -> Gate: ...

    def judged_by(self, study: Record, fact: Fact) -> Mapping[str, Any]:
        """What of the study a fact was judged by, to be kept with it."""
        ...

    def needs_texts(self, recalled: Recalled, events: Sequence[Event]) -> bool:
        """Must sealed texts be opened to say what the stream's head is after these events?"""
        ...

    def head(self, recalled: Recalled, record: Record, events: Sequence[Event], opened: Open) -> Head:
        """Site, search key and summary after the events; the version is the recorder's to fill in."""
        ...
