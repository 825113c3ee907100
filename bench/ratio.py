"""Two things run alternately, and the ratio of what they reach: a machine's noise meets both."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    """`small` is for seeing that a bench still runs; its numbers say nothing."""

    small: bool

    @property
    def pairs(self) -> int:
        return 1 if self.small else 5

    def choose(self, large: int, small: int) -> int:
        return small if self.small else large


@dataclass(frozen=True, slots=True)
class Pair:
    """What both reached in one round, in the unit of their ratio."""

    ours: float
    reference: float

    @property
    def ratio(self) -> float:
        return self.ours / self.reference


@dataclass(frozen=True, slots=True)
class Ratio:
    """A promise: `ours` reaches at least (with `most`: at most) `goal` times what `against` reaches."""

    name: str
    ours: str
    against: str
    unit: str
    goal: float
    is_upper_bound: bool = False

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.goal if self.is_upper_bound else ratio >= self.goal

    def is_worse_than_half(self, ratio: float) -> bool:
        return ratio > 2 * self.goal if self.is_upper_bound else ratio < self.goal / 2


Measurements = Mapping[str, Sequence[Pair]]
"""Pairs by the name of their ratio."""


@dataclass(frozen=True, slots=True)
class Bench:
    name: str
    ratios: tuple[Ratio, ...]
    run: Callable[[Size], Awaitable[Measurements]]


async def run_alternately(size: Size, *sides: Callable[[], Awaitable[T]]) -> list[tuple[T, ...]]:
    """What the sides gave in each round, by side. Every other round goes backwards; a first one warms up, uncounted."""
    rounds = []
    for number in range(size.pairs + (not size.small)):
        order = range(len(sides)) if number % 2 else reversed(range(len(sides)))
        results = {side: await sides[side]() for side in order}
        rounds.append(tuple(results[place] for place in range(len(sides))))
    return rounds if size.small else rounds[1:]


def median_and_spread(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Median, least and greatest of the ratios."""
    ratios = [pair.ratio for pair in pairs]
    return statistics.median(ratios), min(ratios), max(ratios)
