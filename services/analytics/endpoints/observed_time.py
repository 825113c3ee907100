"""The part of a curve over time that planned follow-up and recent proofs of life support. Pure.

A curve is drawn from the deaths, which are reported at once, and from proofs of life, which come with visits. Where the
living were not seen lately, or are not to be seen any more, it shows more deaths than there are, and of all other
events those alone that a visit would have found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.exits import Days, VitalStatus
from services.analytics.snapshot.columns import NEVER_NUMBER, day_number
from services.analytics.snapshot.flow import completion_days
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED, Observations
from shared.gate.study_timeline import protocol_on
from shared.protocol.schedule import one_visit_before

Counts = NDArray[np.int64]


class CurveTimes(Protocol):
    """The times of a curve: for each the index of its participant, and the number of the day of its origin."""

    @property
    def subjects(self) -> NDArray[np.intp]: ...

    @property
    def origins(self) -> Days: ...

    @property
    def observations(self) -> Observations: ...


@dataclass(frozen=True, slots=True, eq=False)
class LivingByDay:
    """Counts by the day from the origin, of the participants who are not known dead at the data cut-off.

    `living`: those whose origin is as many days or more before the cut-off. `not_current`: those of them without
    a proof of life within one visit interval and its window before that day, or later.
    """

    living: Counts
    not_current: Counts

    @classmethod
    def count(cls, possible: Days, alive: Days, recent: int) -> Self:
        """Returns the counts. `possible`: days from each origin to the cut-off. `alive`: to the last proof of life."""
        last = int(possible.max(initial=0))
        leaving = np.bincount(possible + 1, minlength=last + 2)
        late = alive + recent < possible
        from_day, until = alive[late] + recent + 1, possible[late] + 1
        changes = np.bincount(from_day, minlength=last + 2) - np.bincount(until, minlength=last + 2)
        return cls(living=(len(possible) - np.cumsum(leaving))[: last + 1], not_current=np.cumsum(changes)[: last + 1])

    def at(self, day: int, multiple: int = 1) -> bool:
        """Returns whether more than half of the living are not_current on a day, by counts in multiples of a number."""
        if day >= len(self.living):
            return False
        living, not_current = (
            int(self.living[day]) // multiple * multiple,
            int(self.not_current[day]) // multiple * multiple,
        )
        return 2 * not_current > living

    def spans(self, last: int) -> Iterator[tuple[int, int]]:
        """Yields the first and the last day of each time in which most are not current, up to the `last` day."""
        is_marked = np.concatenate([[False], 2 * self.not_current[: last + 1] > self.living[: last + 1], [False]])
        changes = np.flatnonzero(is_marked[1:] != is_marked[:-1])
        yield from zip(changes[::2].tolist(), (changes[1::2] - 1).tolist(), strict=True)


def living_by_day(snapshot: StudySnapshot, selection: Selection, times: CurveTimes) -> tuple[LivingByDay, LivingByDay]:
    """Returns the counts of the participants whom `times` count, by the plan in force on the cut-off.

    The second counts leave out the participants with an event of any cause, so that the day of no event counts.
    Participants who have withdrawn, are lost or have completed follow-up are living, as in the currency of follow-up,
    and as there a link to a registry proves nobody alive.
    """
    cut, recent = selection.cut_number, selection.cut_number - recent_since(snapshot, selection)
    subjects, origins = first_origins(times)
    exits = VitalStatus.of(snapshot).proved.exits(cut)
    is_living = (snapshot.subjects["dead_from"][subjects] > cut) & (exits.cause[subjects] == CENSORED)
    has_event = np.isin(subjects, times.subjects[times.observations.causes != CENSORED])
    possible, alive = cut - origins, np.maximum(exits.day[subjects] - origins, 0)
    every, without_event = (
        LivingByDay.count(possible[chosen], alive[chosen], recent) for chosen in (is_living, is_living & ~has_event)
    )
    return every, without_event


def first_origins(times: CurveTimes) -> tuple[NDArray[np.intp], Days]:
    """Returns the participants of the times, each once, and the first of the origins of each."""
    order = np.lexsort((times.origins, times.subjects))
    subjects, first = np.unique(times.subjects[order], return_index=True)
    return subjects, times.origins[order][first]


def recent_since(snapshot: StudySnapshot, selection: Selection) -> int:
    """Returns the number of the day one visit interval and its window before the cut-off."""
    plan = protocol_on(snapshot.study, selection.cut_date).follow_up
    return day_number(one_visit_before(plan, selection.cut_date))


def planned_until(snapshot: StudySnapshot, selection: Selection, times: CurveTimes) -> int | None:
    """Returns the day from the origin by which planned follow-up has ended for more than half of those counted.

    None if it has no end for half of them, since their index course has not ended.
    """
    subjects, origins = first_origins(times)
    if not len(subjects):
        return None
    ends = completion_days(snapshot, selection.cut_number).day.astype(np.int64)[subjects]
    days = np.where(ends >= NEVER_NUMBER, NEVER_NUMBER, ends - origins)
    middle = int(np.sort(days)[len(days) // 2])
    return None if middle >= NEVER_NUMBER else max(middle, 0)
