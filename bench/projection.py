"""Measures the projection from topic to journal and current facts: by Faust, without Faust, and by the least code."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench.cohort import STUDY, event_streams
from bench.environment import bench_environment, postgres_of, run_programs, wait_until
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.local.stack import Stack
from infra.local.supervisor import python_module
from infra.postgres.roles import database_url
from services.analytics.projection.worker import TOPICS
from shared.contracts.cloudevents import encode
from shared.outbox.publisher import KafkaPublisher, ensure_topics

TEMPLATE_DATABASE, URL_SETTING = "quartal_analytics", "QUARTAL_ANALYTICS_SYSTEM_URL"
REFERENCE_DESCRIPTION = "bare aiokafka getmany, the same statements in batches of 500, nothing checked"
FAUST = Ratio(
    name="projection, Faust",
    ours="topic to journal and facts, the Faust worker as a process",
    against=REFERENCE_DESCRIPTION,
    unit="events/s",
    goal=0.45,
)
PLAIN = Ratio(
    name="projection, aiokafka shell",
    ours="topic to journal and facts, the same core below the plain shell",
    against=REFERENCE_DESCRIPTION,
    unit="events/s",
    goal=0.90,
)
RATE_QUERY = """
    with batch as (select applied_at, count(*) as events from journal group by applied_at),
         span as (select min(applied_at) as began, max(applied_at) as ended from batch)
    select (sum(events) / extract(epoch from max(ended) - min(began)))::float8 from batch, span where applied_at > began
"""
"""Events per second from the first batch on, so that the start of the process does not count."""


async def run(size: Size) -> Measurements:
    events = size.choose(30_000, 3_000)
    async with bench_environment() as stack:
        await _publish(stack, events)
        rounds = await run_alternately(
            size,
            lambda: _measure_projection(stack, python_module("services.analytics", "worker"), events),
            lambda: _measure_projection(stack, _projector_command("plain"), events),
            lambda: _measure_projection(stack, _projector_command("bare"), events),
        )
    return {
        FAUST.name: [Pair(faust, bare) for faust, _, bare in rounds],
        PLAIN.name: [Pair(plain, bare) for _, plain, bare in rounds],
    }


def _projector_command(name: str) -> list[str]:
    return python_module("bench.bare_projector", name, f"{name}-{secrets.token_hex(4)}")


async def _publish(stack: Stack, events: int) -> None:
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    await ensure_topics(bootstrap, TOPICS)
    publisher = KafkaPublisher(bootstrap)
    await publisher.publish([encode(event) for stream in event_streams(events) for event in stream])
    await publisher.close()


async def _measure_projection(stack: Stack, worker: Sequence[str], events: int) -> float:
    """Runs a worker on an empty database; returns its events per second."""
    async with fresh_database(stack) as (connection, url):
        async with run_programs(stack, {"projection": worker}, {URL_SETTING: url}):
            await wait_until(lambda: _has_reached(connection, events), "the projection of all events")
        rate: float = await connection.fetchval(RATE_QUERY)
        return rate


async def _has_reached(connection: asyncpg.Connection[Any], position: int) -> bool:
    current = await connection.fetchval("select position from study_position where study_id = $1", STUDY)
    return bool(current == position)


@asynccontextmanager
async def fresh_database(stack: Stack) -> AsyncIterator[tuple[asyncpg.Connection[Any], str]]:
    """Yields a copy of the migrated, empty database: a superuser's connection, and the URL of the system role."""
    name = f"bench_{secrets.token_hex(4)}"
    superuser: asyncpg.Connection[Any] = await asyncpg.connect(postgres_of(stack).url())
    await superuser.execute(f"create database {name} template {TEMPLATE_DATABASE}")
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(postgres_of(stack).url(name))
        yield connection, database_url(stack.environment[URL_SETTING], name)
        await connection.close()
    finally:
        await superuser.execute(f"drop database {name} with (force)")
        await superuser.close()


BENCH = Bench("projection", (FAUST, PLAIN), run)
