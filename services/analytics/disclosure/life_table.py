"""Life tables: survival and cumulative incidence as readers see them, in blocks of months with enough events. Pure.

A block ends with the first month by which at least `minimum` events have happened since the block before. It has one
actuarial estimate (Cutler and Ederer, Journal of Chronic Diseases 1958;8:699), so that no value depends on the day on
which a single participant had an event.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

DAYS_OF_MONTH = Fraction(487, 16)
"""Days of a month: a year of 365.25 days has 12."""


@dataclass(frozen=True, slots=True)
class TimeAtRisk:
    """The days from the origin on which a participant entered and left the risk set.

    `cause` names the event that happened on `exit_day`; None: the participant was censored then. Who enters after
    day 0 is at risk from the day after. Raises ValueError for an exit before the origin, or on or before a later entry.
    """

    exit_day: int
    cause: str | None = None
    entry_day: int = 0

    def __post_init__(self) -> None:
        if self.exit_day < 0 or 0 < self.exit_day <= self.entry_day or 0 == self.exit_day < self.entry_day:
            raise ValueError("a participant who leaves before entering is never at risk")


class LifeTablePoint(BaseModel):
    """Estimates at the end of a month, as proportions to two decimals.

    `at_risk` is rounded down to a multiple of the smallest group.
    """

    model_config = ConfigDict(frozen=True)

    month: int
    event_free: float
    incidence: dict[str, float]
    at_risk: int


class LifeTable(BaseModel):
    """The published points of a curve, by month, and the first month with at most half of the participants event-free.

    `median` is null where the published curve stays above one half.
    """

    model_config = ConfigDict(frozen=True)

    points: tuple[LifeTablePoint, ...]
    median: int | None

    def landmark(self, month: int) -> LifeTablePoint | None:
        """Returns the last point at or before the month; None before the first."""
        return next((point for point in reversed(self.points) if point.month <= month), None)


def life_table(
    times: Sequence[TimeAtRisk], causes: Sequence[str], minimum: int, participants: Sequence[int] | None = None
) -> LifeTable:
    """Returns the life table of the times, with the incidence of each of the causes.

    `causes` are those of the figure, whether they occur or not: a name that stood there only because of one event
    would tell of it. Survival is the table of events of one cause.

    Over a block of n at risk at its beginning, c censored, e entered later and d events of all causes, of which d_j of
    cause j: I_j grows by S d_j / (n - (c - e) / 2), and S shrinks by the sum. The table ends where fewer than `minimum`
    are at risk, or where more had an event than were at risk on average, as can happen where many enter late.

    `participants`: the number of the participant of each time, if one can have several, as with lesions. A block then
    ends once `minimum` participants had an event in it, and the table where fewer than `minimum` are at risk.
    """
    owners = range(len(times)) if participants is None else participants
    event_free, incidence = Fraction(1), dict.fromkeys(causes, Fraction(0))
    points: list[LifeTablePoint] = []
    for block in _blocks(times, owners, minimum):
        if block.exposure < block.events.total():
            break
        for cause, events in block.events.items():
            incidence[cause] += event_free * events / block.exposure
        event_free -= event_free * block.events.total() / block.exposure
        points.append(_point(block, event_free, incidence, minimum))
    return LifeTable(
        points=tuple(points), median=next((point.month for point in points if point.event_free <= 0.5), None)
    )


def month_of(day: int) -> int:
    """Returns the month, from 1, in which a day from the origin lies; days up to 0 belong to the first."""
    return max(1, -(-day // DAYS_OF_MONTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """The times that entered the risk set in some months, and those that left it: censored, or by an event.

    `participants`: those with an event.
    """

    entered: int = 0
    censored: int = 0
    events: Counter[str] = field(default_factory=Counter)
    participants: frozenset[int] = frozenset()

    def __add__(self, later: _Tally) -> _Tally:
        return _Tally(
            entered=self.entered + later.entered,
            censored=self.censored + later.censored,
            events=self.events + later.events,
            participants=self.participants | later.participants,
        )

    @property
    def growth(self) -> int:
        """The change of the number at risk."""
        return self.entered - self.censored - self.events.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """The months since the last published one, up to `month`: `exposure` is the number at risk on average."""

    month: int
    events: Counter[str]
    exposure: Fraction
    at_risk: int


def _blocks(times: Sequence[TimeAtRisk], owners: Sequence[int], minimum: int) -> Iterator[_Block]:
    """Yields the blocks that are published. Where all enter late, the first begins once enough are at risk.

    `owners`: the participant of each time.
    """
    at_start, tallies = sum(time.entry_day <= 0 for time in times), _monthly_tallies(times, owners)
    participants_at_risk = _count_at_risk(times, owners, len(tallies))
    tally, has_begun = _Tally(), participants_at_risk[0] >= minimum
    for month, monthly_tally in enumerate(tallies, 1):
        tally += monthly_tally
        if has_begun and participants_at_risk[month] < minimum:
            return
        has_begun = participants_at_risk[month] >= minimum
        if has_begun and len(tally.participants) >= minimum:
            exposure = at_start + Fraction(tally.entered - tally.censored, 2)
            at_start += tally.growth
            yield _Block(month=month, events=tally.events, exposure=exposure, at_risk=at_start)
            tally = _Tally()


def _monthly_tallies(times: Sequence[TimeAtRisk], owners: Sequence[int]) -> list[_Tally]:
    """Returns the tally of each month up to the last exit."""
    entered, censored = Counter[int](), Counter[int]()
    events: defaultdict[int, Counter[str]] = defaultdict(Counter)
    participants: defaultdict[int, set[int]] = defaultdict(set)
    for time, owner in zip(times, owners, strict=True):
        if time.entry_day > 0:
            entered[month_of(time.entry_day)] += 1
        month = month_of(time.exit_day)
        if time.cause is None:
            censored[month] += 1
        else:
            events[month][time.cause] += 1
            participants[month].add(owner)
    last = max((*censored, *events), default=0)
    return [
        _Tally(
            entered=entered[month],
            censored=censored[month],
            events=events[month],
            participants=frozenset(participants[month]),
        )
        for month in range(1, last + 1)
    ]


def _count_at_risk(times: Sequence[TimeAtRisk], owners: Sequence[int], last: int) -> list[int]:
    """Returns how many participants are at risk at the beginning, and after each of the months 1 … last."""
    changes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for time, owner in zip(times, owners, strict=True):
        changes[month_of(time.entry_day) if time.entry_day > 0 else 0].append((owner, 1))
        changes[month_of(time.exit_day)].append((owner, -1))
    times_at_risk, at_risk = Counter[int](), set[int]()
    counts = list[int]()
    for month in range(last + 1):
        for owner, change in changes[month]:
            times_at_risk[owner] += change
            (at_risk.add if times_at_risk[owner] > 0 else at_risk.discard)(owner)
        counts.append(len(at_risk))
    return counts


def _point(block: _Block, event_free: Fraction, incidence: Mapping[str, Fraction], minimum: int) -> LifeTablePoint:
    return LifeTablePoint(
        month=block.month,
        event_free=_two_decimals(event_free),
        incidence={cause: _two_decimals(value) for cause, value in incidence.items()},
        at_risk=block.at_risk // minimum * minimum,
    )


def _two_decimals(value: Fraction) -> float:
    """Rounds half up."""
    return (value * 100 + Fraction(1, 2)).__floor__() / 100
