"""One stream as a consumer takes it in: what is next is applied, what is not waits, what is known is dropped. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from shared.contracts.cloudevents import MalformedMessage, decode, topic_carries
from shared.contracts.event import Event

VERSION_MISSING = "version-missing"
StreamKey = tuple[str, str]
"""Source and subject: which stream."""

_SOURCE_PATTERN = re.compile(r"/studies/([a-z0-9][a-z0-9-]{0,30}[a-z0-9])/([a-z]{1,32})")
_SUBJECT_PATTERN = re.compile(r"[A-Za-z0-9-]{1,32}")
_VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """A Kafka message as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """A message with the stream and version that its headers tell; without an event where it is poison, and why."""

    message: KafkaMessage
    study_id: str
    key: StreamKey
    version: int
    event: Event | None
    reason: str = ""


class UnaddressableMessage(ValueError):
    """Nobody can tell which stream the message belongs to. `reason` never quotes it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def parse_message(message: KafkaMessage) -> InboundEvent:
    """Poison stays in its line as an arrival without an event. Raises Unreadable where there is no line for it."""
    reason = ""
    try:
        event = decode(message.key, message.headers, message.value)
    except MalformedMessage as malformed:
        return _poison_event(message, malformed.reason_code)
    if not topic_carries(message.topic, event.service):
        raise UnaddressableMessage("topic-of-another-service")
    try:
        event.stated_fact()
    except KeyError:
        reason = "type-unknown"
    except Exception:  # whatever reading a message raises, an upcast's mistake too, is that message's fault alone
        reason = "not-of-its-schema"
    return InboundEvent(
        message, event.study_id, (event.source, event.stream_id), event.version, None if reason else event, reason
    )


def _poison_event(message: KafkaMessage, reason: str) -> InboundEvent:
    source = _SOURCE_PATTERN.fullmatch(_single_header(message, "ce_source"))
    subject = _SUBJECT_PATTERN.fullmatch(_single_header(message, "ce_subject"))
    version = _VERSION_PATTERN.fullmatch(_single_header(message, "ce_streamversion"))
    if not (source and subject and version and topic_carries(message.topic, source[2])):
        raise UnaddressableMessage(reason)
    return InboundEvent(message, source[1], (source[0], subject[0]), int(version[0]), None, reason)


def _single_header(message: KafkaMessage, name: str) -> str:
    """'' unless it is there exactly once."""
    values = [value for header, value in message.headers if header == name]
    return values[0].decode("ascii", "replace") if len(values) == 1 and values[0] else ""


@dataclass
class StreamCursor:
    """A stream at the version up to which it was applied, and what waits behind that.

    `parked` is why it stands still (None: it does not). `stored` are the versions that wait in the database already.
    """

    study_id: str
    key: StreamKey
    version: int
    parked_reason: str | None = None
    waiting: dict[int, InboundEvent] = field(default_factory=dict)
    persisted: set[int] = field(default_factory=set)
    changed: bool = False

    def load_waiting(self, waiting: Iterable[InboundEvent]) -> None:
        """What waited in the database."""
        self.waiting = {inbound.version: inbound for inbound in waiting}
        self.persisted = set(self.waiting)

    def accept(self, inbound: InboundEvent) -> Iterator[InboundEvent]:
        """What can be applied now, in order."""
        if inbound.version <= self.version:
            return
        self.waiting[inbound.version] = inbound
        self.persisted.discard(inbound.version)
        yield from self.advance()

    def advance(self) -> Iterator[InboundEvent]:
        self.changed = True
        while (next_event := self.waiting.get(self.version + 1)) and next_event.event:
            self.version, self.parked_reason = next_event.version, None
            del self.waiting[self.version]
            yield next_event
        self._update_parked()

    def reject(self, inbound_events: Sequence[InboundEvent], reason: str) -> None:
        """The first of them turned out to be poison; none of them was applied."""
        poison, *later_events = inbound_events
        self.version = poison.version - 1
        self.waiting[poison.version] = replace(poison, event=None, reason=reason)
        self.waiting.update((inbound.version, inbound) for inbound in later_events)
        self._update_parked()

    def _update_parked(self) -> None:
        if next_event := self.waiting.get(self.version + 1):
            self.parked_reason = next_event.reason
        else:
            self.parked_reason = (self.parked_reason or VERSION_MISSING) if self.waiting else None

    def unpersisted(self) -> list[InboundEvent]:
        return [inbound for version, inbound in self.waiting.items() if version not in self.persisted]
