"""Publish events to the Kafka of the demo that none of its services recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from shared.contracts.cloudevents import encode
from shared.contracts.event import Event
from shared.outbox.publisher import KafkaPublisher
from tests.api.support.study import demo_environment
from tests.demo import Demo


def publish_events(demo: Demo, events: Iterable[Event]) -> None:
    """Publishes events, and returns when the broker has them."""
    with ThreadPoolExecutor(1) as thread:  # the caller may be in an event loop of its own
        thread.submit(
            lambda: asyncio.run(_publish_events(demo_environment(demo)["KAFKA_BOOTSTRAP"], list(events)))
        ).result()


async def _publish_events(bootstrap: str, events: list[Event]) -> None:
    publisher = KafkaPublisher(bootstrap)
    try:
        await publisher.publish([encode(event) for event in events])
    finally:
        await publisher.close()
