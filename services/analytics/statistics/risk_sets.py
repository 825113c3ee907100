"""Times of observation in whole days, and how many are at risk on each day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Days = NDArray[np.int64]
Counts = NDArray[np.int64]

CENSORED = 0
LAST_DAY = 100_000
"""The greatest time that is accepted, in days: tables have a row for each day."""
_BEFORE_DAY_0 = -1


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Times at risk, one per element: at risk on a day t if entry < t <= exit.

    `exits`: days since the origin. `causes`: 0 for censored, else the number of the cause of the event. `entries`: the
    day of a delayed entry, -1 for those at risk from day 0 on, that day included; None without delayed entries.
    """

    exits: Days
    causes: Counts
    entries: Days | None

    def __len__(self) -> int:
        return len(self.exits)

    @property
    def cause_count(self) -> int:
        """The greatest number of a cause; at least 1."""
        return max(1, int(self.causes.max(initial=1)))

    @property
    def event_count(self) -> int:
        """The number of those with an event of any cause."""
        return int(np.count_nonzero(self.causes != CENSORED))

    def with_causes(self, causes: ArrayLike) -> Observations:
        """Returns the same times with other causes."""
        return Observations(self.exits, _whole_numbers(causes, len(self), "causes", 1000), self.entries)

    def select(self, chosen: NDArray[np.bool_]) -> Observations:
        entries = None if self.entries is None else self.entries[chosen]
        return Observations(self.exits[chosen], self.causes[chosen], entries)


def observe(exits: ArrayLike, causes: ArrayLike, entries: ArrayLike | None = None) -> Observations:
    """Checks times at risk. An entry on day 0 or before means at risk from day 0 on, as without an entry.

    Raises ValueError for days that are not whole, are negative (exits) or beyond `LAST_DAY`, for arrays of different
    lengths, and for an entry after day 0 that is not before the exit: such a person was never at risk.
    """
    days = _whole_numbers(exits, None, "exits", LAST_DAY)
    kinds = _whole_numbers(causes, len(days), "causes", 1000)
    if entries is None:
        return Observations(days, kinds, None)
    entry_days = np.asarray(entries)
    starts = _whole_numbers(np.where(entry_days > 0, entry_days, 0), len(days), "entries", LAST_DAY)
    if np.any((starts > 0) & (starts >= days)):
        raise ValueError("an entry after day 0 must be before the exit")
    starts = np.where(starts > 0, starts, _BEFORE_DAY_0)
    return Observations(days, kinds, starts if np.any(starts > 0) else None)


def _whole_numbers(values: ArrayLike, length: int | None, name: str, greatest: int) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    whole = numbers.astype(np.int64, copy=False)
    if numbers.ndim != 1 or (length is not None and len(numbers) != length):
        raise ValueError(f"{name} must be one array with an element for each observation")
    if not np.issubdtype(numbers.dtype, np.integer) and np.any(whole != numbers):
        raise ValueError(f"{name} must be whole numbers")
    if len(whole) and (whole.min() < 0 or whole.max() > greatest):
        raise ValueError(f"{name} must be between 0 and {greatest}")
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class RiskSets:
    """Rows of the days on which somebody's observation ends, and of day 0; in order of days.

    `at_risk`: how many are at risk on the day. `ends`: (day, cause) counts of those whose observation ends; cause 0 is
    censored.
    """

    days: Days
    at_risk: Counts
    ends: Counts

    @property
    def events(self) -> Counts:
        """Events of any cause by day."""
        events: Counts = self.ends[:, 1:].sum(axis=1)
        return events

    @property
    def censored(self) -> Counts:
        return self.ends[:, CENSORED]


def risk_sets(observations: Observations, cause_count: int | None = None) -> RiskSets:
    """Counts by day; `cause_count` gives `ends` columns for causes that nobody has.

    Raises ValueError if there is a cause above `cause_count`.
    """
    greatest = int(observations.causes.max(initial=0))
    kinds = 1 + (max(1, greatest) if cause_count is None else cause_count)
    if kinds <= greatest:
        raise ValueError("there are causes above cause_count")
    last = int(observations.exits.max(initial=0))
    cells = observations.exits * kinds
    cells += observations.causes
    ends = np.bincount(cells, minlength=(last + 1) * kinds).reshape(last + 1, kinds)
    leaving = ends.sum(axis=1)
    at_risk = _entered_before(observations, last) - (np.cumsum(leaving) - leaving)
    leaving[0] += 1
    days = np.flatnonzero(leaving)
    return RiskSets(days, at_risk[days], ends[days])


def _entered_before(observations: Observations, last: int) -> Counts | int:
    """Returns how many have entered before each day 0 … `last`."""
    if observations.entries is None:
        return len(observations)
    entered: Counts = np.cumsum(np.bincount(observations.entries + 1, minlength=last + 1)[: last + 1])
    return entered


@dataclass(frozen=True, slots=True)
class RiskTableColumn:
    """The numbers below a curve at a tick: at risk on that day; events and censored before it."""

    day: float
    at_risk: int
    events: int
    censored: int


def risk_table(observations: Observations, days: list[float]) -> list[RiskTableColumn]:
    """Returns a column for each day of a tick. Without delayed entry the three numbers add up to all observations."""
    return [_risk_table_column(observations, day) for day in days]


def _risk_table_column(observations: Observations, day: float) -> RiskTableColumn:
    is_out = observations.exits < day
    at_risk = ~is_out if observations.entries is None else ~is_out & (observations.entries < day)
    events = int(np.count_nonzero(is_out & (observations.causes != CENSORED)))
    return RiskTableColumn(
        day=day,
        at_risk=int(np.count_nonzero(at_risk)),
        events=events,
        censored=int(np.count_nonzero(is_out)) - events,
    )
