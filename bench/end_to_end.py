"""From a site's POST to the figure event on somebody's page, on a running stack, against Kafka and one commit."""

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
from bench.ground import answering, ground, port_of, programs, server, token, until
from bench.http_client import Lines, post_request
from bench.pairs import Bench, Measured, Pair, Ratio, Size, alternately
from infra.cli.up import COMMANDS
from infra.local.ports import LOOPBACK
from infra.local.stack import Stack
from shared.outbox.publisher import ensure_topics
from shared.testing.facts import procedure

RATE = 50  # facts a second
TOPIC = "bench.round-trip"
TABLE = "create table round_trip (id uuid primary key, data jsonb)"
INSERT = "insert into round_trip values ($1, $2)"
OURS = "POST sent to figure event read at an SSE client, 50 facts/s, everything that `quartal up` starts"
AGAINST = "one Kafka produce, consume, and one commit, at the same load on the same servers"
_READING = f"/analytics/v1/studies/{STUDY}"
P50 = Ratio("end to end, p50", OURS, AGAINST, "ms", 4, most=True)
P99 = Ratio("end to end, p99", OURS, AGAINST, "ms", 6, most=True)


async def run(size: Size) -> Measured:
    facts = size.of(500, 50)
    async with ground() as stack, programs(stack, COMMANDS):
        await answering(port_of(stack), "/health/ready")
        numbers = await open_study(stack, size.of(200, 40))
        await answering(port_of(stack), f"{_READING}/position", token(stack, STUDY, "investigator"))
        async with round_trip(stack) as trip:
            rounds = await alternately(size, lambda: stated(stack, numbers, facts), lambda: trip.times(facts))
    return {
        P50.name: [Pair(statistics.median(ours), statistics.median(bare)) for ours, bare in rounds],
        P99.name: [Pair(_percentile(ours, 99), _percentile(bare, 99)) for ours, bare in rounds],
    }


def _percentile(times: Sequence[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


async def at_a_rate(times: int, act: Callable[[int], Awaitable[object]]) -> None:
    """Begin one every 1/RATE seconds, whether the ones before have ended or not."""
    began = perf_counter()
    async with asyncio.TaskGroup() as together:
        for number in range(times):
            await asyncio.sleep(max(0.0, began + number / RATE - perf_counter()))
            together.create_task(_act(act, number))


async def _act(act: Callable[[int], Awaitable[object]], number: int) -> None:
    await act(number)


@dataclass
class Seen:
    """What an SSE client was told: positions, and when."""

    positions: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def tell(self, position: int) -> None:
        if position > self.last:
            self.positions.append(position)
            self.at.append(perf_counter())

    @property
    def last(self) -> int:
        return self.positions[-1] if self.positions else 0

    def when(self, position: int) -> float:
        """When the position, or a later one, could be read."""
        return self.at[bisect_left(self.positions, position)]


async def stated(stack: Stack, numbers: Sequence[str], facts: int) -> list[float]:
    """Milliseconds of each fact, from the first byte sent."""
    sent: dict[UUID, float] = {}
    bearer = token(stack, STUDY, "site", SITE.site_id)

    async def state(_: int) -> None:
        began = perf_counter()
        answer = await lines.post(_request(random.choice(numbers), bearer, host_of(stack)))
        sent[UUID(json.loads(answer)["event_id"])] = began

    with closing(Lines(port_of(stack))) as lines:
        async with watched(stack) as seen:
            await at_a_rate(facts, state)
            positions = await _positions(stack, sent)
            await until(lambda: _told(seen, max(positions.values())), "the last figure event")
    return [1000 * (seen.when(positions[event_id]) - began) for event_id, began in sent.items()]


async def _told(seen: Seen, position: int) -> bool:
    return seen.last >= position


def host_of(stack: Stack) -> str:
    """The name that the local server answers to."""
    return f"{LOOPBACK}:{port_of(stack)}"


def _request(number: str, bearer: str, host: str) -> bytes:
    fact = procedure(random.randrange(300)).model_dump_json(exclude_none=True)
    path = f"/enrollment/v1/studies/{STUDY}/participants/{number}/facts/procedure.performed"
    return post_request(path, fact, bearer, host)


async def _positions(stack: Stack, sent: dict[UUID, float]) -> dict[UUID, int]:
    """The position of each event, once all are projected."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(server(stack).url("quartal_analytics"))
    found: dict[UUID, int] = {}

    async def all_there() -> bool:
        rows = await connection.fetch("select event_id, position from journal where event_id = any($1)", list(sent))
        found.update({UUID(int=row["event_id"].int): row["position"] for row in rows})
        return len(found) == len(sent)

    await until(all_there, "the projection of all facts")
    await connection.close()
    return found


@asynccontextmanager
async def watched(stack: Stack) -> AsyncIterator[Seen]:
    """A page's stream of events, open for the length of the block."""
    seen = Seen()
    reader, writer = await asyncio.open_connection(LOOPBACK, port_of(stack))
    writer.write(f"GET {_READING}/live HTTP/1.1\r\nHost: {host_of(stack)}\r\n{_bearer(stack)}\r\n\r\n".encode())
    reading = asyncio.create_task(_read(reader, seen))
    try:
        await until(lambda: _told(seen, 1), "the first figure event")
        yield seen
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        writer.close()


def _bearer(stack: Stack) -> str:
    return f"Authorization: Bearer {token(stack, STUDY, 'investigator')}"


async def _read(reader: asyncio.StreamReader, seen: Seen) -> None:
    while line := await reader.readline():
        if line.startswith(b"data: "):
            seen.tell(int(line[6:]))
    raise ConnectionError("the stream of events ended")


@dataclass
class RoundTrip:
    """The least that an event-driven product could do for a fact: one message, there and back, and one commit."""

    producer: AIOKafkaProducer
    pool: asyncpg.Pool[Any]
    sent: dict[bytes, float] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)

    async def times(self, messages: int) -> list[float]:
        """Milliseconds of each, from the sending to after the commit."""
        self.sent, self.taken = {}, []
        await at_a_rate(messages, self._send)

        async def all_there() -> bool:
            return len(self.taken) == messages

        await until(all_there, "the round trip of all messages")
        return self.taken

    async def _send(self, _: int) -> None:
        key = uuid4().bytes
        self.sent[key] = perf_counter()
        await self.producer.send(TOPIC, procedure().model_dump_json().encode(), key)

    async def take(self, consumer: AIOKafkaConsumer) -> None:
        async for message in consumer:
            await self.pool.execute(
                "insert into round_trip values ($1, $2)", UUID(bytes=message.key), message.value.decode()
            )
            self.taken.append(1000 * (perf_counter() - self.sent[message.key]))


@asynccontextmanager
async def round_trip(stack: Stack) -> AsyncIterator[RoundTrip]:
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    await ensure_topics(bootstrap, [TOPIC])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with producer, consumer, await asyncpg.create_pool(server(stack).url(), min_size=1) as pool:
        await pool.execute(TABLE)
        trip = RoundTrip(producer, pool)
        taking = asyncio.create_task(trip.take(consumer))
        try:
            yield trip
        finally:
            taking.cancel()
            with suppress(asyncio.CancelledError):
                await taking


BENCH = Bench("end-to-end", (P50, P99), run)
