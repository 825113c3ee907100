"""Measures the first page of the worklist of a large study, against reading as many rows by their primary keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg

from bench.analytics_study import ReplicatedCohort, analytics_pools, analyze_database
from bench.environment import bench_environment
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.reference.study import subject
from services.analytics.reminders.next_reminders import load_next_reminders
from services.analytics.schedule.service import PAGE_SIZE, WorklistRequest, WorklistService
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock
from shared.postgres.tenancy import EVERY_SITE, Tenant, transaction

STUDY, TODAY = "bench", "2026-01-01"
READS_PER_ROUND = 40
TABLES = ("derived_subject", "derived_subject_day", "derived_visit", "derived_absence", "derived_data_query")
"""The tables that the worklist reads."""
RATIO = Ratio(
    name="worklist",
    ours=f"first page of {PAGE_SIZE} overdue and due visits among 100,000 participants, with last contacts and open "
    "data queries; from the service's call to its answer",
    against=f"SELECT of {PAGE_SIZE} visits by their primary keys, in one transaction of the same tenant",
    unit="ms",
    goal=10,
    is_upper_bound=True,
)
_RANDOM_KEYS = """
    select participant_id, sequence from derived_visit where study_id = $1 order by random() limit $2
"""
_BY_KEY = """
    select v.* from unnest($2::text[], $3::integer[]) as k (participant_id, sequence)
      join derived_visit v on v.study_id = $1 and v.participant_id = k.participant_id and v.sequence = k.sequence
"""


async def run(size: Size) -> Measurements:
    async with bench_environment(broker=False) as stack, analytics_pools(stack) as (app, system):
        await ReplicatedCohort.fill(system, STUDY, size.choose(100_000, 40), TABLES)
        await analyze_database(stack)
        service = WorklistService(StudyReader(app, system, Clock.parse(f"{STUDY}={TODAY}")), load_next_reminders)
        member = subject(STUDY, "investigator", None)
        keys = [tuple(row) for row in await system.fetch(_RANDOM_KEYS, STUDY, PAGE_SIZE)]

        async def read_page() -> None:
            await service.list_page(STUDY, member, WorklistRequest())

        rounds = await run_alternately(
            size, lambda: median_milliseconds(read_page), lambda: median_milliseconds(lambda: read_by_key(app, keys))
        )
    return {RATIO.name: [Pair(*times) for times in rounds]}


async def read_by_key(pool: asyncpg.Pool[Any], keys: Sequence[tuple[str, int]]) -> None:
    async with transaction(pool, Tenant(STUDY, EVERY_SITE)) as connection:
        await connection.fetch(_BY_KEY, STUDY, *zip(*keys, strict=True))


async def median_milliseconds(read: Callable[[], Awaitable[None]]) -> float:
    times = list[float]()
    for _ in range(READS_PER_ROUND):
        started_at = perf_counter()
        await read()
        times.append(1000 * (perf_counter() - started_at))
    return median(times)


BENCH = Bench("worklist", (RATIO,), run)
