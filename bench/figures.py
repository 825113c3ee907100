"""Measures every figure of a large study, cold and after one new fact, against reading its rows into arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import asyncpg

from bench.analytics_study import ReplicatedCohort, analytics_pools, analyze_database
from bench.environment import bench_environment
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.reference.study import subject
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.registry import FIGURE_TABLES, FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock

STUDY, PARTICIPANTS = "bench", 100_000
TOXICITY = frozenset({"severe-toxicity", "toxicity-grades"})
_WARM = "after one new fact, from the derived position to the answer; {}, the one with the greatest ratio"
_COLD = "the same figure of a process that has read nothing"
COLD = Ratio(
    name="figures, cold",
    ours=f"every figure of {PARTICIPANTS:,} participants, of a process that has read nothing",
    against="reading the derived rows that figures need from PostgreSQL into arrays",
    unit="s",
    goal=3,
    is_upper_bound=True,
)
WARM = Ratio(
    name="figures, warm",
    ours=_WARM.format("of the figures but for toxicity"),
    against=_COLD,
    unit="s",
    goal=0.05,
    is_upper_bound=True,
)
WARM_TOXICITY = Ratio(
    name="figures, warm, toxicity",
    ours=_WARM.format("of the figures of toxicity"),
    against=_COLD,
    unit="s",
    goal=0.1,
    is_upper_bound=True,
)


@dataclass(frozen=True)
class FigureSeconds:
    """The seconds until a process has the newest rows, and then of each figure by name."""

    reading: float
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return self.reading + sum(self.figures.values())

    def of_figure(self, name: str) -> float:
        return self.reading + self.figures[name]


@dataclass(frozen=True)
class FigureProcess:
    """The memory of a process of the API: the rows that it has read, and its answers."""

    reader: StudyReader
    service: FigureService

    @classmethod
    def start(cls, app: asyncpg.Pool[Any], system: asyncpg.Pool[Any]) -> FigureProcess:
        reader = StudyReader(app, system, Clock(), FIGURE_TABLES)
        return cls(reader, FigureService(reader))

    async def measure(self, names: Sequence[str]) -> FigureSeconds:
        """Returns the seconds of the rows and of the figures, of one with pages its first."""
        started_at = perf_counter()
        await self.reader.newest_snapshot(STUDY)
        return FigureSeconds(perf_counter() - started_at, {name: await self._measure_figure(name) for name in names})

    async def _measure_figure(self, name: str) -> float:
        started_at = perf_counter()
        await self.service.figure(name, STUDY, subject(STUDY, "investigator", None), FigureRequest())
        return perf_counter() - started_at


async def run(size: Size) -> Measurements:
    tables = [f"derived_{name}" for name in sorted(FIGURE_TABLES)]
    async with bench_environment(broker=False) as stack, analytics_pools(stack) as (app, system):
        study = await ReplicatedCohort.fill(system, STUDY, size.choose(PARTICIPANTS, 20), tables)
        await analyze_database(stack)
        running = FigureProcess.start(app, system)

        async def measure_cold() -> FigureSeconds:
            return await FigureProcess.start(app, system).measure(list(FIGURES))

        async def measure_reading() -> FigureSeconds:
            return await FigureProcess.start(app, system).measure([])

        async def measure_warm() -> FigureSeconds:
            await running.reader.newest_snapshot(STUDY)
            await study.add_fact()
            return await running.measure(list(FIGURES))

        rounds = await run_alternately(size, measure_cold, measure_reading, measure_warm)
    return {
        COLD.name: [Pair(cold.total, reading.total) for cold, reading, _ in rounds],
        WARM.name: [slowest_pair(warm, cold, FIGURES.keys() - TOXICITY) for cold, _, warm in rounds],
        WARM_TOXICITY.name: [slowest_pair(warm, cold, TOXICITY) for cold, _, warm in rounds],
    }


def slowest_pair(warm: FigureSeconds, cold: FigureSeconds, names: Set[str]) -> Pair:
    """Returns the pair of the figure with the greatest ratio."""
    pairs = (Pair(warm.of_figure(name), cold.of_figure(name)) for name in names)
    return max(pairs, key=lambda pair: pair.ratio)


BENCH = Bench("figures", (COLD, WARM, WARM_TOXICITY), run)
