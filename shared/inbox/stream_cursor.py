"""The cursor of one stream in a consumer: the next version is applied, later ones wait, known ones are dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from shared.contracts.cloudevents import MalformedMessage, decode, topic_carries
from shared.contracts.event import Event

VERSION_MISSING = "version-missing"
StreamKey = tuple[str, str]
"""Source and subject of a stream: `/studies/<study>/<service>`, and a participant's number or the study's id."""

_SOURCE_PATTERN = re.compile(r"/studies/([a-z0-9][a-z0-9-]{0,30}[a-z0-9])/([a-z]{1,32})")
_SUBJECT_PATTERN = re.compile(r"[A-Za-z0-9-]{1,32}")
_VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """A message as Kafka delivered it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """A message with the stream and version that its headers name. `event` is None, with a reason, if it is poison."""

    message: KafkaMessage
    study_id: str
    key: StreamKey
    version: int
    event: Event | None
    reason: str = ""


class UnaddressableMessage(ValueError):
    """The headers do not name a stream. `reason` is a code and never quotes the message."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def study_of_source(source: str) -> str:
    """Returns the study's id in `/studies/<study>/<service>`."""
    return source.split("/")[2]


def parse_message(message: KafkaMessage) -> InboundEvent:
    """Decodes a message. A poison message keeps its stream and version; raises UnaddressableMessage if it has none."""
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
    except Exception:  # any error while reading, also one in an upcast, concerns this message alone
        reason = "not-of-its-schema"
    return InboundEvent(
        message=message,
        study_id=event.study_id,
        key=(event.source, event.stream_id),
        version=event.version,
        event=None if reason else event,
        reason=reason,
    )


def _poison_event(message: KafkaMessage, reason: str) -> InboundEvent:
    source = _SOURCE_PATTERN.fullmatch(_single_header(message, "ce_source"))
    subject = _SUBJECT_PATTERN.fullmatch(_single_header(message, "ce_subject"))
    version = _VERSION_PATTERN.fullmatch(_single_header(message, "ce_streamversion"))
    if not (source and subject and version and topic_carries(message.topic, source[2])):
        raise UnaddressableMessage(reason)
    return InboundEvent(
        message=message,
        study_id=source[1],
        key=(source[0], subject[0]),
        version=int(version[0]),
        event=None,
        reason=reason,
    )


def _single_header(message: KafkaMessage, name: str) -> str:
    """Returns the value of a header that is present exactly once, else an empty string."""
    values = [value for header, value in message.headers if header == name]
    return values[0].decode("ascii", "replace") if len(values) == 1 and values[0] else ""


@dataclass
class StreamCursor:
    """A stream that was applied up to `version`, and the messages that wait behind it.

    `parked_reason` is None unless the stream is parked. `persisted`: waiting versions that the database has already.
    """

    study_id: str
    key: StreamKey
    version: int
    parked_reason: str | None = None
    waiting: dict[int, InboundEvent] = field(default_factory=dict)
    persisted: set[int] = field(default_factory=set)
    changed: bool = False

    def load_waiting(self, waiting: Iterable[InboundEvent]) -> None:
        """Takes over the messages that wait in the database."""
        self.waiting = {inbound.version: inbound for inbound in waiting}
        self.persisted = set(self.waiting)

    def accept(self, inbound: InboundEvent) -> Iterator[InboundEvent]:
        """Adds a message; returns the messages that can be applied now, in order."""
        if inbound.version <= self.version:
            return
        self.waiting[inbound.version] = inbound
        self.persisted.discard(inbound.version)
        yield from self.advance()

    def advance(self) -> Iterator[InboundEvent]:
        """Returns the waiting messages that can be applied, in order, and moves the version past them."""
        self.changed = True
        while (next_event := self.waiting.get(self.version + 1)) and next_event.event:
            self.version, self.parked_reason = next_event.version, None
            del self.waiting[self.version]
            yield next_event
        self._update_parked()

    def reject(self, inbound_events: Sequence[InboundEvent], reason: str) -> None:
        """Parks the stream before the first of the messages, which is poison; all of them wait again."""
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

    def list_unpersisted(self) -> list[InboundEvent]:
        """Returns the waiting messages that the database does not have yet."""
        return [inbound for version, inbound in self.waiting.items() if version not in self.persisted]
