"""Measures a backlog from the outbox to Kafka, against a bare producer that sends the same bytes from memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.cohort import STUDY, event_streams
from bench.environment import bench_environment, postgres_of, run_concurrently
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.cli.settings_source import read_settings
from infra.local.stack import Stack
from shared.contracts.cloudevents import Message, encode
from shared.contracts.event import Event
from shared.eventstore.postgres_store import PostgresStore
from shared.eventstore.store import AppendRequest, StreamHead
from shared.outbox.publisher import MAX_RECORD_BYTES, KafkaPublisher, ensure_topics
from shared.outbox.relay import Relay
from shared.postgres.tenancy import Tenant, open_pool

TOPIC = "quartal.enrollment.v1"
CONNECTIONS = 8
RATIO = Ratio(
    name="relay",
    ours="a backlog of 200,000 events from the outbox to Kafka, one shard, the cursor stored",
    against="a bare aiokafka idempotent producer that sends the same bytes from memory, by the same settings",
    unit="events/s",
    goal=0.60,
)


class CountingPublisher:
    """A publisher that sets `all_published` when so many messages were acknowledged."""

    def __init__(self, bootstrap: str, messages: int) -> None:
        self._publisher, self._remaining = KafkaPublisher(bootstrap), messages
        self.all_published = asyncio.Event()

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._publisher.publish(messages)
        self._remaining -= len(messages)
        if self._remaining <= 0:
            self.all_published.set()

    async def close(self) -> None:
        await self._publisher.close()


async def run(size: Size) -> Measurements:
    events = [event for stream in event_streams(size.choose(200_000, 2_000)) for event in stream]
    async with bench_environment() as stack:
        bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
        await ensure_topics(bootstrap, [TOPIC])
        await _record(stack, events)
        messages = [encode(event) for event in events]
        gc.freeze()  # the collector need not visit the messages that wait to be sent
        rounds = await run_alternately(
            size,
            lambda: _measure_relay(stack, bootstrap, len(events)),
            lambda: _measure_bare_producer(bootstrap, messages),
        )
    return {RATIO.name: [Pair(*round_rates) for round_rates in rounds]}


async def _record(stack: Stack, events: Sequence[Event]) -> None:
    """Appends the events, each participant's in one transaction, as an import does."""
    url = read_settings(stack.environment).database_url("enrollment", "app")
    async with await open_pool(url, max_size=CONNECTIONS) as pool:
        store, event_streams = PostgresStore("enrollment", pool), list(_by_stream(events))

        async def append(index: int) -> None:
            stream = event_streams[index]
            async with store.unit(Tenant(STUDY)) as unit:
                await unit.append(AppendRequest(0, None, StreamHead(len(stream), stream[0].site_id), stream))

        await run_concurrently(CONNECTIONS, append, len(event_streams))


def _by_stream(events: Sequence[Event]) -> Iterator[list[Event]]:
    stream: list[Event] = []
    for event in events:
        if stream and event.version == 1:
            yield stream
            stream = []
        stream.append(event)
    yield stream


async def _measure_relay(stack: Stack, bootstrap: str, events: int) -> float:
    """Returns the events per second from a fresh cursor to the last acknowledgement."""
    await _delete_cursor(stack)
    stop, publisher = asyncio.Event(), CountingPublisher(bootstrap, events)
    async with await open_pool(read_settings(stack.environment).database_url("enrollment", "system")) as pool:
        started_at = perf_counter()
        relay_task = asyncio.create_task(Relay(pool, publisher, "enrollment").run(stop))
        await asyncio.wait(
            [relay_task, publication := asyncio.create_task(publisher.all_published.wait())],
            return_when="FIRST_COMPLETED",
        )
        seconds = perf_counter() - started_at
        publication.cancel()
        stop.set()
        await relay_task
    await publisher.close()
    return events / seconds


async def _delete_cursor(stack: Stack) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(postgres_of(stack).url("quartal_enrollment"))
    try:
        await connection.execute("delete from relay_cursor")
    finally:
        await connection.close()


async def _measure_bare_producer(bootstrap: str, messages: Sequence[Message]) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=128 * 1024,
        max_request_size=MAX_RECORD_BYTES,
    )
    started_at = perf_counter()
    async with producer:
        for message in messages:
            last_delivery = await producer.send(
                message.topic, message.value, message.key, headers=list(message.headers)
            )
        await producer.flush()
        await last_delivery
    return len(messages) / (perf_counter() - started_at)


BENCH = Bench("relay", (RATIO,), run)
