"""Events as the Kafka messages that they arrive in."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.cloudevents import encode
from shared.contracts.event import Event
from shared.inbox.stream_cursor import KafkaMessage


def as_messages(events: Sequence[Event], first_offset: int = 0, partition: int = 0) -> list[KafkaMessage]:
    """Returns each event as a message, at consecutive offsets of one partition."""
    return [as_message(event, offset, partition) for offset, event in enumerate(events, first_offset)]


def as_message(event: Event, offset: int = 0, partition: int = 0) -> KafkaMessage:
    message = encode(event)
    return KafkaMessage(message.topic, partition, offset, message.key, message.headers, message.value)
