"""Measures the rebuild of facts from the journal, against reading and decoding the same rows and copying as many."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from time import perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg

from bench.analytics_study import analytics_pools, analyze_database, apply_to_inbox, simulate_history, study_events
from bench.cohort import DISTINCT_PARTICIPANTS
from bench.environment import bench_environment
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.cli.settings_source import read_settings
from services.analytics.rebuild.rebuild import rebuild
from shared.contracts.event import Event
from shared.kernel.ids import new_participant_id

STUDY, EVENTS, SMALL_EVENTS, EVENTS_PER_BATCH = "bench", 1_000_000, 200, 20_000
MEMORY_LIMIT_MB = 300
SPEED = Ratio(
    name="rebuild",
    ours=f"the facts of {EVENTS:,} journalled events computed again, and compared with the running ones row by row, of "
    "which none differs",
    against="the same rows of the journal read and decoded as JSON, and COPY of rows of the same size",
    unit="events/s",
    goal=0.30,
)
MEMORY = Ratio(
    name="rebuild, memory",
    ours=f"the greatest resident memory of the process that computes {EVENTS:,} events again",
    against="the promised limit",
    unit="MB",
    goal=1,
    is_upper_bound=True,
)
_JOURNAL = "select event_id, study_id, subject, type, version, position, recorded_at, data, meta from journal"
_COPIED = """
    create temporary table copied (event_id uuid, study_id text, subject text, type text, version integer,
        position bigint, recorded_at timestamptz, data text, meta text)
"""


class Rebuilt(NamedTuple):
    """The seconds of a rebuild, how many subjects it repaired, and the greatest resident memory of its process."""

    seconds: float
    repaired: int
    megabytes: float


class DifferentRows(Exception):
    """A rebuild found rows that differ from the running ones."""


async def run(size: Size) -> Measurements:
    events = size.choose(EVENTS, SMALL_EVENTS)
    async with bench_environment(broker=False) as stack, analytics_pools(stack) as (_, system):
        await fill_journal(system, events)
        await analyze_database(stack)
        url = read_settings(stack.environment).database_url("analytics", "system")

        async def measure_ours() -> Rebuilt:
            return await asyncio.to_thread(rebuild_in_process, url)

        async def measure_reference() -> Rebuilt:
            return Rebuilt(await copy_rows(url), 0, MEMORY_LIMIT_MB)

        rounds = await run_alternately(size, measure_ours, measure_reference)
    return {
        SPEED.name: [Pair(events / ours.seconds, events / reference.seconds) for ours, reference in rounds],
        MEMORY.name: [Pair(ours.megabytes, reference.megabytes) for ours, reference in rounds],
    }


async def fill_journal(pool: asyncpg.Pool[Any], events: int) -> None:
    """Projects so many events of participants, in parts that fit into memory. Nothing is derived from them."""
    await apply_to_inbox(pool, study_events(STUDY))
    remaining = islice(_participant_events(min(events, DISTINCT_PARTICIPANTS)), events)
    while part := list(islice(remaining, EVENTS_PER_BATCH)):
        await apply_to_inbox(pool, part)


def _participant_events(distinct: int) -> Iterator[Event]:
    """Yields the events of distinct participants, and after them the same facts under new numbers, without end."""
    histories = [simulate_history(STUDY, index).events for index in range(distinct)]
    for number in count():
        name = new_participant_id()
        for event in histories[number % distinct]:
            yield replace(event, stream_id=name, event_id=uuid4())


def rebuild_in_process(url: str) -> Rebuilt:
    """Rebuilds in a process of its own. Raises DifferentRows if a subject was repaired."""
    with multiprocessing.get_context("spawn").Pool(1) as processes:
        rebuilt = processes.apply(_rebuild, (url,))
    if rebuilt.repaired:
        raise DifferentRows(f"of {rebuilt.repaired} subjects")
    return rebuilt


def _rebuild(url: str) -> Rebuilt:
    started_at = perf_counter()
    repaired = asyncio.run(rebuild(url))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Rebuilt(perf_counter() - started_at, repaired, megabytes)


async def copy_rows(url: str) -> float:
    """Returns the seconds of reading and decoding the journal, and of COPY of its rows to a table."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_COPIED)
        started_at, batch = perf_counter(), list[asyncpg.Record]()
        async with connection.transaction():
            async for row in connection.cursor(_JOURNAL, prefetch=EVENTS_PER_BATCH):
                batch.append(row)
                if len(batch) == EVENTS_PER_BATCH:
                    await _decode_and_copy(connection, batch)
                    batch.clear()
            await _decode_and_copy(connection, batch)
        return perf_counter() - started_at
    finally:
        await connection.close()


async def _decode_and_copy(connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> None:
    for row in rows:
        json.loads(row["data"])
    await connection.copy_records_to_table("copied", records=[tuple(row.values()) for row in rows])


BENCH = Bench("rebuild", (SPEED, MEMORY), run)
