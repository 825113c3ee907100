"""Measures the time from a site's POST to the live event of a page, against a round trip by Kafka and one commit."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.cohort import SITE, STUDY, open_study
from bench.environment import (
    bench_environment,
    create_token,
    port_of,
    postgres_of,
    run_programs,
    wait_until,
    wait_until_answering,
)
from bench.http_client import ConnectionPool, post_request
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.cli.up import COMMANDS
from infra.local.ports import LOOPBACK
from infra.local.stack import Stack
from shared.outbox.publisher import ensure_topics
from shared.testing.builders.facts import procedure_performed

FACTS_PER_SECOND = 50
TOPIC = "bench.round-trip"
CREATE_TABLE = "create table round_trip (id uuid primary key, data jsonb)"
INSERT = "insert into round_trip values ($1, $2)"
PRODUCT_DESCRIPTION = "POST sent to figure event read at an SSE client, 50 facts/s, everything that `quartal up` starts"
REFERENCE_DESCRIPTION = "one Kafka produce, consume, and one commit, at the same load on the same servers"
_ANALYTICS_PATH = f"/analytics/v1/studies/{STUDY}"
P50 = Ratio(
    name="end to end, p50",
    ours=PRODUCT_DESCRIPTION,
    against=REFERENCE_DESCRIPTION,
    unit="ms",
    goal=4,
    is_upper_bound=True,
)
P99 = Ratio(
    name="end to end, p99",
    ours=PRODUCT_DESCRIPTION,
    against=REFERENCE_DESCRIPTION,
    unit="ms",
    goal=6,
    is_upper_bound=True,
)


async def run(size: Size) -> Measurements:
    facts = size.choose(500, 50)
    async with bench_environment() as stack, run_programs(stack, COMMANDS):
        await wait_until_answering(port_of(stack), "/health/ready")
        participant_ids = await open_study(stack, size.choose(200, 40))
        await wait_until_answering(
            port_of(stack), f"{_ANALYTICS_PATH}/position", create_token(stack, STUDY, "investigator")
        )
        async with round_trip(stack) as trip:
            rounds = await run_alternately(
                size, lambda: measure_facts(stack, participant_ids, facts), lambda: trip.measure(facts)
            )
    return {
        P50.name: [Pair(statistics.median(ours), statistics.median(bare)) for ours, bare in rounds],
        P99.name: [Pair(_percentile(ours, 99), _percentile(bare, 99)) for ours, bare in rounds],
    }


def _percentile(times: Sequence[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


async def run_at_rate(times: int, act: Callable[[int], Awaitable[object]]) -> None:
    """Starts `act` FACTS_PER_SECOND times a second, without waiting for the earlier ones to end."""
    started_at = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(times):
            await asyncio.sleep(max(0.0, started_at + number / FACTS_PER_SECOND - perf_counter()))
            tasks.create_task(_await_act(act, number))


async def _await_act(act: Callable[[int], Awaitable[object]], number: int) -> None:
    await act(number)


@dataclass
class ReceivedPositions:
    """The positions that an SSE client received, with the time of each."""

    positions: list[int] = field(default_factory=list)
    received_at: list[float] = field(default_factory=list)

    def record(self, position: int) -> None:
        if position > self.last_position:
            self.positions.append(position)
            self.received_at.append(perf_counter())

    @property
    def last_position(self) -> int:
        return self.positions[-1] if self.positions else 0

    def time_of(self, position: int) -> float:
        """Returns the time at which the position, or a later one, was received."""
        return self.received_at[bisect_left(self.positions, position)]


async def measure_facts(stack: Stack, participant_ids: Sequence[str], facts: int) -> list[float]:
    """Returns the milliseconds of each fact from the first byte sent to the live event that shows it."""
    sent: dict[UUID, float] = {}
    bearer = create_token(stack, STUDY, "site", SITE.site_id)

    async def post_fact(_: int) -> None:
        started_at = perf_counter()
        response = await pool.post(_request(random.choice(participant_ids), bearer, host_of(stack)))
        sent[UUID(json.loads(response)["event_id"])] = started_at

    with closing(ConnectionPool(port_of(stack))) as pool:
        async with subscribe_to_live_events(stack) as received:
            await run_at_rate(facts, post_fact)
            positions = await _positions(stack, sent)
            await wait_until(lambda: _has_received(received, max(positions.values())), "the last figure event")
    return [1000 * (received.time_of(positions[event_id]) - started_at) for event_id, started_at in sent.items()]


async def _has_received(received: ReceivedPositions, position: int) -> bool:
    return received.last_position >= position


def host_of(stack: Stack) -> str:
    """Returns the Host header that the local server accepts."""
    return f"{LOOPBACK}:{port_of(stack)}"


def _request(participant_id: str, bearer: str, host: str) -> bytes:
    fact = procedure_performed(random.randrange(300)).model_dump_json(exclude_none=True)
    path = f"/enrollment/v1/studies/{STUDY}/participants/{participant_id}/facts/procedure.performed"
    return post_request(path, fact, bearer, host)


async def _positions(stack: Stack, sent: dict[UUID, float]) -> dict[UUID, int]:
    """Returns the position of each event, once all are projected."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(postgres_of(stack).url("quartal_analytics"))
    positions: dict[UUID, int] = {}

    async def are_all_projected() -> bool:
        rows = await connection.fetch("select event_id, position from journal where event_id = any($1)", list(sent))
        positions.update({row["event_id"]: row["position"] for row in rows})
        return len(positions) == len(sent)

    await wait_until(are_all_projected, "the projection of all facts")
    await connection.close()
    return positions


@asynccontextmanager
async def subscribe_to_live_events(stack: Stack) -> AsyncIterator[ReceivedPositions]:
    """Reads the live events of the study, as its page does, for the length of the block."""
    received = ReceivedPositions()
    reader, writer = await asyncio.open_connection(LOOPBACK, port_of(stack))
    writer.write(f"GET {_ANALYTICS_PATH}/live HTTP/1.1\r\nHost: {host_of(stack)}\r\n{_bearer(stack)}\r\n\r\n".encode())
    reading = asyncio.create_task(_read_positions(reader, received))
    try:
        await wait_until(lambda: _has_received(received, 1), "the first figure event")
        yield received
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        writer.close()


def _bearer(stack: Stack) -> str:
    return f"Authorization: Bearer {create_token(stack, STUDY, 'investigator')}"


async def _read_positions(reader: asyncio.StreamReader, received: ReceivedPositions) -> None:
    while line := await reader.readline():
        if line.startswith(b"data: "):
            received.record(int(line[6:]))
    raise ConnectionError("the stream of events ended")


@dataclass
class RoundTrip:
    """The least that an event-driven product does for a fact: one message produced and consumed, and one commit."""

    producer: AIOKafkaProducer
    pool: asyncpg.Pool[Any]
    sent: dict[bytes, float] = field(default_factory=dict)
    durations: list[float] = field(default_factory=list)

    async def measure(self, messages: int) -> list[float]:
        """Returns the milliseconds of each message from sending it to the end of the commit."""
        self.sent, self.durations = {}, []
        await run_at_rate(messages, self._send)

        async def are_all_consumed() -> bool:
            return len(self.durations) == messages

        await wait_until(are_all_consumed, "the round trip of all messages")
        return self.durations

    async def _send(self, _: int) -> None:
        key = uuid4().bytes
        self.sent[key] = perf_counter()
        await self.producer.send(TOPIC, procedure_performed().model_dump_json().encode(), key)

    async def consume(self, consumer: AIOKafkaConsumer) -> None:
        async for message in consumer:
            await self.pool.execute(INSERT, UUID(bytes=message.key), message.value.decode())
            self.durations.append(1000 * (perf_counter() - self.sent[message.key]))


@asynccontextmanager
async def round_trip(stack: Stack) -> AsyncIterator[RoundTrip]:
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    await ensure_topics(bootstrap, [TOPIC])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with producer, consumer, await asyncpg.create_pool(postgres_of(stack).url(), min_size=1) as pool:
        await pool.execute(CREATE_TABLE)
        trip = RoundTrip(producer, pool)
        consumption = asyncio.create_task(trip.consume(consumer))
        try:
            yield trip
        finally:
            consumption.cancel()
            with suppress(asyncio.CancelledError):
                await consumption


BENCH = Bench("end-to-end", (P50, P99), run)
