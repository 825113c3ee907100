"""Streams as they were seen last, judged already, so that the next fact of one needs no reading.

What is remembered may have moved since. Nothing is refused by it, and nothing is kept by it unless the store finds the
stream at that very version: so memory costs, at worst, one attempt.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from shared.contracts.event import Event, history
from shared.eventstore.store import Append, Recalled
from shared.kernel.record import Judged, Rules

MOST_EVENTS = 40_000
"""How many events are remembered, of all streams together, with the facts known from elsewhere: about 2.5 kB each."""


@dataclass(frozen=True, slots=True)
class Known:
    """A stream as recalled, and as judged. `data_key` is the stream's wrapped key, where it was needed before.

    `stated_at` are the sites that its events were stated at.
    """

    recalled: Recalled
    judged: Judged
    data_key: bytes | None = None
    stated_at: frozenset[str | None] = frozenset()

    @classmethod
    def of(cls, recalled: Recalled, rules: Rules) -> Known:
        stated_at = frozenset(event.site_id for event in recalled.events)
        return cls(recalled, Judged.of(history(recalled.events), rules), stated_at=stated_at)

    @property
    def size(self) -> int:
        """In events; a fact known from elsewhere takes as much room as an own one."""
        elsewhere = self.recalled.elsewhere
        return len(self.recalled.events) + (len(elsewhere.stated) if elsewhere else 0)

    def after(self, proposal: Append, judged: Judged, data_key: bytes | None) -> Known:
        """The same after an append: facts as they are stored, without the texts that were sealed."""
        before = self.recalled
        events = (*before.events, *proposal.events)
        recalled = Recalled(before.study_version, proposal.head, events, None, before.elsewhere)
        if any(event.sealed for event in proposal.events):
            judged = judged.restating(history(proposal.events))
        stated_at = self.stated_at.union(event.site_id for event in proposal.events)
        return Known(recalled, judged, data_key, stated_at)

    def at(self, study_version: int) -> Known:
        """For a decision by another version of the study's facts, which the stream itself does not depend on."""
        if self.recalled.study_version == study_version:
            return self
        return replace(self, recalled=replace(self.recalled, study_version=study_version))


class Memory:
    """The streams seen last, within a bound on their events."""

    def __init__(self, most_events: int = MOST_EVENTS) -> None:
        self._most, self._events = most_events, 0
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()

    def turn(self, study_id: str, stream_id: str | None) -> AbstractAsyncContextManager[object]:
        """Statements of one stream that arrive here together come one after the other: they would only collide."""
        if stream_id is None:
            return nullcontext()
        lock = self._turns.get((study_id, stream_id)) or asyncio.Lock()
        self._turns[study_id, stream_id] = lock
        return lock

    def recall(self, study_id: str, stream_id: str | None) -> Known | None:
        return self._known.get((study_id, stream_id)) if stream_id else None

    def remember(self, study_id: str, stream_id: str, known: Known) -> None:
        self.forget(study_id, stream_id)
        self._known[study_id, stream_id] = known
        self._events += known.size
        while self._events > self._most:
            self._events -= self._known.popitem(last=False)[1].size

    def forget(self, study_id: str, stream_id: str | None) -> None:
        if stream_id and (known := self._known.pop((study_id, stream_id), None)):
            self._events -= known.size


Word = tuple[Event, str]
"""The event that gave a fact its content last, and where within it that lies (JSON pointer)."""


def last_word(events: Sequence[Event], event_id: str) -> Word | None:
    """Return the last word on one fact; None if it is unknown."""
    return last_words(events).get(event_id)


def last_words(events: Iterable[Event]) -> dict[str, Word]:
    """Return the last word on every fact, by its event id. Each event is read once, however many there are."""
    words: dict[str, Word] = {}
    for event in events:
        words[str(event.event_id)] = event, ""
        if event.meta.get("corrects") and (corrected := event.content)["replacement"]:
            words[corrected["event_id"]] = event, "/replacement/data"
    return words
