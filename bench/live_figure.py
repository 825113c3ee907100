"""Measures a figure of a large study after one new fact, from the position to the answer, against a small study."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from bench.analytics_study import ReplicatedCohort, analytics_pools
from bench.environment import bench_environment
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.reference.study import subject
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.registry import FIGURE_TABLES, FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock

FACTS_PER_ROUND = 7
_DESCRIPTION = "from the derived position of one new fact to the answer, the figure with the greatest ratio"
RATIO = Ratio(
    name="live figure",
    ours=f"{_DESCRIPTION}; 10,000 participants",
    against="the same at 100 participants",
    unit="ms",
    goal=3,
    is_upper_bound=True,
)


async def run(size: Size) -> Measurements:
    async with bench_environment(broker=False) as stack, analytics_pools(stack) as (app, system):
        service = FigureService(StudyReader(app, system, Clock(), FIGURE_TABLES))
        large = await ReplicatedCohort.fill(system, "large", size.choose(10_000, 40))
        small = await ReplicatedCohort.fill(system, "small", size.choose(100, 10))
        facts = size.choose(FACTS_PER_ROUND, 1)
        rounds = await run_alternately(
            size, lambda: measure_figures(service, large, facts), lambda: measure_figures(service, small, facts)
        )
    return {RATIO.name: [slowest_pair(*times) for times in rounds]}


async def measure_figures(service: FigureService, study: ReplicatedCohort, facts: int) -> Sequence[float]:
    """Returns the median milliseconds of each figure, of one with pages its first, after each of so many new facts."""
    return [await _measure_figure(service, study, name, facts) for name in FIGURES]


async def _measure_figure(service: FigureService, study: ReplicatedCohort, name: str, facts: int) -> float:
    member, times = subject(study.study_id, "investigator", None), list[float]()
    for _ in range(facts):
        await study.add_fact()
        started_at = perf_counter()
        await service.figure(name, study.study_id, member, FigureRequest())
        times.append(1000 * (perf_counter() - started_at))
    return sorted(times)[len(times) // 2]


def slowest_pair(large: Sequence[float], small: Sequence[float]) -> Pair:
    """Returns the pair of the figure with the greatest ratio."""
    return max((Pair(*times) for times in zip(large, small, strict=True)), key=lambda pair: pair.ratio)


BENCH = Bench("live-figure", (RATIO,), run)
