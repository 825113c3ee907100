"""Measures the columns of a study read from PostgreSQL for the first time, against COPY of the same rows."""

from __future__ import annotations

import io
from time import perf_counter
from typing import Any

import asyncpg

from bench.analytics_study import ReplicatedCohort, analytics_pools
from bench.environment import bench_environment
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from services.analytics.derivation.rows import TABLES
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock
from shared.postgres.statements import compose_statement

STUDY = "bench"
PARTICIPANTS = 20_000
"""A fifth of the promise's 100,000: both sides grow with the rows, and the writing of so many takes minutes."""
RATIO = Ratio(
    name="cold snapshot",
    ours=f"all derived rows of {PARTICIPANTS:,} participants from PostgreSQL to columns in memory "
    "(promised for 100,000; both sides grow with the rows)",
    against="COPY (select *) TO of the same rows, as binary, read by the same process",
    unit="s",
    goal=3,
    is_upper_bound=True,
)


async def run(size: Size) -> Measurements:
    async with bench_environment(broker=False) as stack, analytics_pools(stack) as (app, system):
        study = await ReplicatedCohort.fill(system, STUDY, size.choose(PARTICIPANTS, 20))

        async def read_columns() -> float:
            started_at = perf_counter()
            await StudyReader(app, system, Clock(), frozenset(TABLES)).newest_snapshot(study.study_id)
            return perf_counter() - started_at

        rounds = await run_alternately(size, read_columns, lambda: copy_rows(system))
    return {RATIO.name: [Pair(*seconds) for seconds in rounds]}


async def copy_rows(pool: asyncpg.Pool[Any]) -> float:
    """Returns the seconds of COPY of every table of derived rows."""
    started_at = perf_counter()
    async with pool.acquire() as connection:
        for name in TABLES:
            output = io.BytesIO()
            query = compose_statement("select * from {table} where study_id = $1", table=f"derived_{name}")
            await connection.copy_from_query(query, STUDY, output=output, format="binary")
    return perf_counter() - started_at


BENCH = Bench("cold-snapshot", (RATIO,), run)
