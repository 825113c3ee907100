"""From the topic to the journal and the facts that stand: by Faust, by the plain shell, by the least that could."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench.cohort import STUDY, streams
from bench.ground import ground, programs, server, until
from bench.pairs import Bench, Measured, Pair, Ratio, Size, alternately
from infra.local.stack import Stack
from infra.local.supervisor import python_module
from infra.postgres.roles import url_for
from services.analytics.projection.worker import TOPICS
from shared.contracts.cloudevents import encode
from shared.outbox.publisher import KafkaPublisher, ensure_topics

TEMPLATE, SETTING = "quartal_analytics", "QUARTAL_ANALYTICS_SYSTEM_URL"
AGAINST = "bare aiokafka getmany, the same statements in batches of 500, nothing checked"
FAUST = Ratio(
    "projection, Faust", "topic to journal and facts, the Faust worker as a process", AGAINST, "events/s", 0.45
)
PLAIN = Ratio(
    "projection, aiokafka shell", "topic to journal and facts, the same core below the plain shell", AGAINST,
    "events/s", 0.90,
)  # fmt: skip
RATE = """
    with batch as (select applied_at, count(*) as events from journal group by applied_at),
         span as (select min(applied_at) as began, max(applied_at) as ended from batch)
    select (sum(events) / extract(epoch from max(ended) - min(began)))::float8 from batch, span where applied_at > began
"""
"""From the first batch on, so that the start of a process does not count."""


async def run(size: Size) -> Measured:
    events = size.of(30_000, 3_000)
    async with ground() as stack:
        await _publish(stack, events)
        rounds = await alternately(
            size,
            lambda: _projected(stack, python_module("services.analytics", "worker"), events),
            lambda: _projected(stack, _shell("plain"), events),
            lambda: _projected(stack, _shell("bare"), events),
        )
    return {
        FAUST.name: [Pair(faust, bare) for faust, _, bare in rounds],
        PLAIN.name: [Pair(plain, bare) for _, plain, bare in rounds],
    }


def _shell(name: str) -> list[str]:
    return python_module("bench.projecting", name, f"{name}-{secrets.token_hex(4)}")


async def _publish(stack: Stack, events: int) -> None:
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    await ensure_topics(bootstrap, TOPICS)
    publisher = KafkaPublisher(bootstrap)
    await publisher.publish([encode(event) for stream in streams(events) for event in stream])
    await publisher.close()


async def _projected(stack: Stack, worker: Sequence[str], events: int) -> float:
    """A worker on a database that has seen nothing; events a second."""
    async with fresh_database(stack) as (connection, url):
        async with programs(stack, {"projection": worker}, {SETTING: url}):
            await until(lambda: _is_at(connection, events), "the projection of all events")
        rate: float = await connection.fetchval(RATE)
        return rate


async def _is_at(connection: asyncpg.Connection[Any], position: int) -> bool:
    at = await connection.fetchval("select position from study_position where study_id = $1", STUDY)
    return bool(at == position)


@asynccontextmanager
async def fresh_database(stack: Stack) -> AsyncIterator[tuple[asyncpg.Connection[Any], str]]:
    """A copy of the migrated, empty database: a superuser's connection to it, and the URL of the system role."""
    name = f"bench_{secrets.token_hex(4)}"
    superuser: asyncpg.Connection[Any] = await asyncpg.connect(server(stack).url())
    await superuser.execute(f"create database {name} template {TEMPLATE}")
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(server(stack).url(name))
        yield connection, url_for(stack.environment[SETTING], name)
        await connection.close()
    finally:
        await superuser.execute(f"drop database {name} with (force)")
        await superuser.close()


BENCH = Bench("projection", (FAUST, PLAIN), run)
