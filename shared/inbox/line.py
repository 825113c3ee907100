"""One stream as a consumer takes it in: what is next is applied, what is not waits, what is known is dropped. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from shared.contracts.cloudevents import Malformed, decode, may_speak
from shared.contracts.event import Event

MISSING = "version-missing"
Key = tuple[str, str]
"""Source and subject: which stream."""

_SOURCE = re.compile(r"/studies/([a-z0-9][a-z0-9-]{0,30}[a-z0-9])/([a-z]{1,32})")
_SUBJECT = re.compile(r"[A-Za-z0-9-]{1,32}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Received:
    """A Kafka message as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with the stream and version that its headers tell; without an event where it is poison, and why."""

    received: Received
    study_id: str
    key: Key
    version: int
    event: Event | None
    reason: str = ""


class Unreadable(ValueError):
    """Nobody can tell which stream the message belongs to. `reason` never quotes it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def read(received: Received) -> Arrival:
    """Poison stays in its line as an arrival without an event. Raises Unreadable where there is no line for it."""
    reason = ""
    try:
        event = decode(received.key, received.headers, received.value)
    except Malformed as malformed:
        return _poison(received, malformed.reason_code)
    if not may_speak(received.topic, event.service):
        raise Unreadable("topic-of-another-service")
    try:
        event.stated()
    except KeyError:
        reason = "type-unknown"
    except Exception:  # whatever reading a message raises, an upcast's mistake too, is that message's fault alone
        reason = "not-of-its-schema"
    return Arrival(
        received, event.study_id, (event.source, event.stream_id), event.version, None if reason else event, reason
    )


def _poison(received: Received, reason: str) -> Arrival:
    source = _SOURCE.fullmatch(_header(received, "ce_source"))
    subject = _SUBJECT.fullmatch(_header(received, "ce_subject"))
    version = _VERSION.fullmatch(_header(received, "ce_streamversion"))
    if not (source and subject and version and may_speak(received.topic, source[2])):
        raise Unreadable(reason)
    return Arrival(received, source[1], (source[0], subject[0]), int(version[0]), None, reason)


def _header(received: Received, name: str) -> str:
    """'' unless it is there exactly once."""
    values = [value for header, value in received.headers if header == name]
    return values[0].decode("ascii", "replace") if len(values) == 1 and values[0] else ""


@dataclass
class Line:
    """A stream at the version up to which it was applied, and what waits behind that.

    `parked` is why it stands still (None: it does not). `stored` are the versions that wait in the database already.
    """

    study_id: str
    key: Key
    version: int
    parked: str | None = None
    waiting: dict[int, Arrival] = field(default_factory=dict)
    stored: set[int] = field(default_factory=set)
    moved: bool = False

    def stood(self, waiting: Iterable[Arrival]) -> None:
        """What waited in the database."""
        self.waiting = {arrival.version: arrival for arrival in waiting}
        self.stored = set(self.waiting)

    def take(self, arrival: Arrival) -> Iterator[Arrival]:
        """What can be applied now, in order."""
        if arrival.version <= self.version:
            return
        self.waiting[arrival.version] = arrival
        self.stored.discard(arrival.version)
        yield from self.advance()

    def advance(self) -> Iterator[Arrival]:
        self.moved = True
        while (following := self.waiting.get(self.version + 1)) and following.event:
            self.version, self.parked = following.version, None
            del self.waiting[self.version]
            yield following
        self._stand()

    def give_back(self, arrivals: Sequence[Arrival], reason: str) -> None:
        """The first of them turned out to be poison; none of them was applied."""
        first, *behind = arrivals
        self.version = first.version - 1
        self.waiting[first.version] = replace(first, event=None, reason=reason)
        self.waiting.update((arrival.version, arrival) for arrival in behind)
        self._stand()

    def _stand(self) -> None:
        if following := self.waiting.get(self.version + 1):
            self.parked = following.reason
        else:
            self.parked = (self.parked or MISSING) if self.waiting else None

    def unstored(self) -> list[Arrival]:
        return [arrival for version, arrival in self.waiting.items() if version not in self.stored]
