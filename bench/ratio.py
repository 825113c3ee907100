"""Runs two sides alternately, so that the noise of the machine meets both, and takes the ratio of their results."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class NotMeasured(Exception):
    """A bench cannot say a ratio; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a run. A `small` one shows that a bench still runs; its numbers mean nothing."""

    small: bool

    @property
    def pairs(self) -> int:
        return 1 if self.small else 5

    def choose(self, large: int, small: int) -> int:
        return small if self.small else large


@dataclass(frozen=True, slots=True)
class Pair:
    """The results of both sides in one round, in the unit of their ratio."""

    ours: float
    reference: float

    @property
    def ratio(self) -> float:
        return self.ours / self.reference


@dataclass(frozen=True, slots=True)
class Ratio:
    """A promise: `ours` reaches at least (with `is_upper_bound`: at most) `goal` times what `against` reaches.

    `needs`: a program that may be missing. Without it the ratio is not measured, and its row says so.
    """

    name: str
    ours: str
    against: str
    unit: str
    goal: float
    is_upper_bound: bool = False
    needs: str = ""

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.goal if self.is_upper_bound else ratio >= self.goal

    def is_worse_than_half(self, ratio: float) -> bool:
        return ratio > 2 * self.goal if self.is_upper_bound else ratio < self.goal / 2


Measurements = Mapping[str, Sequence[Pair]]
"""Pairs by the name of their ratio. One that needs a program that is missing has none."""


@dataclass(frozen=True, slots=True)
class Bench:
    name: str
    ratios: tuple[Ratio, ...]
    run: Callable[[Size], Awaitable[Measurements]]


async def run_alternately(size: Size, *sides: Callable[[], Awaitable[T]]) -> list[tuple[T, ...]]:
    """Returns the results of each round, one for each side.

    Every other round runs the sides in reverse order. Unless `size` is small, a first round warms up and is left out.
    """
    rounds = []
    for number in range(size.pairs + (not size.small)):
        order = range(len(sides)) if number % 2 else reversed(range(len(sides)))
        results = {side: await sides[side]() for side in order}
        rounds.append(tuple(results[side] for side in range(len(sides))))
    return rounds if size.small else rounds[1:]


def median_and_spread(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Returns median, least and greatest ratio."""
    ratios = [pair.ratio for pair in pairs]
    return statistics.median(ratios), min(ratios), max(ratios)
