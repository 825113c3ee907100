"""A backlog in the outbox brought to Kafka, against a bare producer that sends the same bytes from memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.cohort import STUDY, streams
from bench.ground import ground, server, spread
from bench.pairs import Bench, Measured, Pair, Ratio, Size, alternately
from infra.cli.environment import settings_of
from infra.local.stack import Stack
from shared.contracts.cloudevents import Message, encode
from shared.contracts.event import Event
from shared.eventstore.store import Append, Head, PostgresStore
from shared.outbox.publisher import LARGEST, KafkaPublisher, ensure_topics
from shared.outbox.relay import Relay
from shared.security.tenancy import Tenant, open_pool

TOPIC = "quartal.enrollment.v1"
CONNECTIONS = 8
RATIO = Ratio(
    "relay",
    "a backlog of 200,000 events from the outbox to Kafka, one shard, the cursor kept",
    "a bare aiokafka idempotent producer that sends the same bytes from memory, by the same settings",
    "events/s",
    0.60,
)


class Counted:
    """A publisher that tells when so many messages were acknowledged."""

    def __init__(self, bootstrap: str, messages: int) -> None:
        self._publisher, self._left = KafkaPublisher(bootstrap), messages
        self.all = asyncio.Event()

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._publisher.publish(messages)
        self._left -= len(messages)
        if self._left <= 0:
            self.all.set()

    async def close(self) -> None:
        await self._publisher.close()


async def run(size: Size) -> Measured:
    events = [event for stream in streams(size.of(200_000, 2_000)) for event in stream]
    async with ground() as stack:
        bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
        await ensure_topics(bootstrap, [TOPIC])
        await _record(stack, events)
        messages = [encode(event) for event in events]
        gc.freeze()  # or the collector walks what only waits to be sent
        rounds = await alternately(
            size, lambda: _relayed(stack, bootstrap, len(events)), lambda: _sent(bootstrap, messages)
        )
    return {RATIO.name: [Pair(*each) for each in rounds]}


async def _record(stack: Stack, events: Sequence[Event]) -> None:
    """Each participant's events in a transaction of their own, as they are when a site imports."""
    url = settings_of(stack.environment).database("enrollment", "app")
    async with await open_pool(url, largest=CONNECTIONS) as pool:
        store, told = PostgresStore("enrollment", pool), list(_by_stream(events))

        async def append(place: int) -> None:
            stream = told[place]
            async with store.unit(Tenant(STUDY)) as unit:
                await unit.append(Append(0, None, Head(len(stream), stream[0].site_id), stream))

        await spread(CONNECTIONS, append, len(told))


def _by_stream(events: Sequence[Event]) -> Iterator[list[Event]]:
    stream: list[Event] = []
    for event in events:
        if stream and event.version == 1:
            yield stream
            stream = []
        stream.append(event)
    yield stream


async def _relayed(stack: Stack, bootstrap: str, events: int) -> float:
    """From a cursor that has published nothing to the last acknowledgement; events a second."""
    await _forget_the_cursor(stack)
    stop, publisher = asyncio.Event(), Counted(bootstrap, events)
    async with await open_pool(settings_of(stack.environment).database("enrollment", "system")) as pool:
        began = perf_counter()
        relaying = asyncio.create_task(Relay(pool, publisher, "enrollment").run(stop))
        await asyncio.wait(
            [relaying, waiting := asyncio.create_task(publisher.all.wait())], return_when="FIRST_COMPLETED"
        )
        seconds = perf_counter() - began
        waiting.cancel()
        stop.set()
        await relaying
    await publisher.close()
    return events / seconds


async def _forget_the_cursor(stack: Stack) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(server(stack).url("quartal_enrollment"))
    try:
        await connection.execute("delete from relay_cursor")
    finally:
        await connection.close()


async def _sent(bootstrap: str, messages: Sequence[Message]) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=128 * 1024,
        max_request_size=LARGEST,
    )  # fmt: skip
    began = perf_counter()
    async with producer:
        for each in messages:
            last = await producer.send(each.topic, each.value, each.key, headers=list(each.headers))
        await producer.flush()
        await last
    return len(messages) / (perf_counter() - began)


BENCH = Bench("relay", (RATIO,), run)
