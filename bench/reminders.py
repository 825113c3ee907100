"""Measures the morning tick of the reminders of a large study, against one sequential scan of the visits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import asyncpg

from bench.analytics_study import ReplicatedCohort, analytics_pools, analyze_database
from bench.environment import bench_environment
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from services.analytics.reminders.currency import Currency
from services.analytics.reminders.digest_repository import claim
from services.analytics.reminders.subscriptions.repository import recipients
from services.analytics.reminders.worker import MailPorts, ReminderWorker
from shared.inbox.consumer import Offsets
from shared.kernel.clock import Clock
from shared.outbox.confirmation import confirm_database

STUDY, FIRST_MORNING = "bench", datetime(2026, 1, 1, 3, tzinfo=UTC)
TABLES = ("derived_subject", "derived_visit")
"""The tables that the tick reads."""
RATIO = Ratio(
    name="reminders",
    ours="the tick that begins a day among 100,000 participants: visits are found of which a step's day has come, "
    "and their rows and events written; no composing, no mail",
    against="one sequential scan of all visits",
    unit="ms",
    goal=3,
    is_upper_bound=True,
)
_SCAN = "select sum(number) from derived_visit"
_SETTLE = "update reminder set state = 'sent' where state = 'planned'"


class Mornings:
    """Begins one day after the other. What the day before planned counts as sent."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool, self._now = pool, FIRST_MORNING
        ports = MailPorts(load_recipients=recipients, claim=claim, settings=None)
        currency = Currency(pool, self._read_ends)
        self._worker = ReminderWorker(pool, Clock(now=lambda: self._now), currency, ports)

    async def begin_day(self) -> float:
        await self._pool.execute(_SETTLE)
        self._now += timedelta(days=1)
        return await milliseconds(lambda: self._worker.tick(STUDY))

    async def _read_ends(self) -> Offsets:
        return {}


async def run(size: Size) -> Measurements:
    async with bench_environment(broker=False) as stack, analytics_pools(stack) as (_, system):
        await confirm_database(system)
        await ReplicatedCohort.fill(system, STUDY, size.choose(100_000, 40), TABLES)
        await analyze_database(stack)
        mornings = Mornings(system)
        await mornings.begin_day()  # the first look at a study finds every running slot
        rounds = await run_alternately(size, mornings.begin_day, lambda: milliseconds(lambda: system.fetchval(_SCAN)))
    return {RATIO.name: [Pair(*times) for times in rounds]}


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    started_at = perf_counter()
    await work()
    return 1000 * (perf_counter() - started_at)


BENCH = Bench("reminders", (RATIO,), run)
