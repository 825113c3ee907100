"""Scales from values or days to the coordinates of a picture, and the round numbers that label an axis."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import floor, log10


@dataclass(frozen=True, slots=True)
class LinearScale:
    """Values from `start` to `end`, drawn from the coordinate `start_at` to `end_at`; either may be the larger."""

    start: float
    end: float
    start_at: float
    end_at: float

    def at(self, value: float) -> float:
        """Returns the coordinate of a value; an empty range counts as one unit."""
        return self.start_at + (self.end_at - self.start_at) * (value - self.start) / ((self.end - self.start) or 1)


@dataclass(frozen=True, slots=True)
class DateScale:
    """Calendar days from `start` to `end`, drawn from the x coordinate `left` to `right`."""

    start: date
    end: date
    left: float
    right: float

    def at(self, day: date) -> float:
        """Returns the x coordinate of a day."""
        days = LinearScale(start=0, end=(self.end - self.start).days, start_at=self.left, end_at=self.right)
        return days.at((day - self.start).days)


def tick_values(highest: float, step_count: int) -> list[float]:
    """Returns round numbers, 1, 2 or 5 times a power of ten apart, from 0 to the first that is not below `highest`.

    There are about `step_count` steps between them.
    """
    raw = max(highest, 1) / step_count
    magnitude = 10.0 ** floor(log10(raw))
    step = max(1.0, next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999))
    count = int(-(-max(highest, 1) // step))
    return [index * step for index in range(count + 1)]
