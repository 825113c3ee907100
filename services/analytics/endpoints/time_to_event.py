"""Times at risk from the origin to the end of observation, with delayed entry, and who has none. Pure.

domain.md, section 6, is the definition: entry is the latest of the origin, the enrollment and, for a group that a
participant reaches, the day of reaching it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.exits import Days, Exits
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.stereotactic import OTHER, STEREOTACTIC, stereotactic_days
from services.analytics.snapshot.columns import NEVER_NUMBER, Column
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.groups import NO_INDEX_COURSE, GroupNames, group_dates
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import ImputedDays, imputed_days
from services.analytics.statistics.risk_sets import CENSORED, Observations, observe

NotCountedReason = Literal[
    "no_origin",
    "exit_before_origin",
    "entry_not_before_exit",
    "event_before_entry",
    "baseline_severe",
    "not_evaluable",
]
NOT_COUNTED_REASONS: tuple[NotCountedReason, ...] = get_args(NotCountedReason)


@dataclass(frozen=True, slots=True, eq=False)
class EndpointTimes:
    """The times of everybody whom a time-to-event figure counts, one element for each time at risk.

    A participant who reaches a group while at risk has two: in the group before, censored on the day of reaching the
    other, and in that group from then on. `subjects`: the index of the participant. `origins`: the number of the day
    of the origin. `groups`: the name of the group. `not_counted`: how many participants of the selection are enrolled
    and not counted, by reason. `imputed`: the distinct imputed dates of those counted that fixed an origin, an entry,
    an exit or a group.
    """

    subjects: NDArray[np.intp]
    origins: Days
    observations: Observations
    groups: GroupNames
    not_counted: Mapping[NotCountedReason, int]
    imputed: ImputedDays

    @property
    def imputed_dates(self) -> int:
        return len(self.imputed)

    @property
    def participants(self) -> int:
        return int(np.count_nonzero(np.bincount(self.subjects)))

    @property
    def events(self) -> int:
        return self.observations.event_count

    def of_group(self, name: str) -> Observations:
        """Returns the times of one group."""
        return self.observations.select(self.groups == name)


@dataclass(frozen=True, slots=True, eq=False)
class _Periods:
    """Times at risk by calendar days, each of the participant at an index."""

    subjects: NDArray[np.intp]
    start: Days
    end: Days
    cause: Days
    groups: GroupNames


NOBODY_ELSE: Mapping[NotCountedReason, Mask] = {}


def observe_endpoint(
    snapshot: StudySnapshot,
    selection: Selection,
    exits: Exits,
    not_counted: Mapping[NotCountedReason, Mask] = NOBODY_ELSE,
) -> EndpointTimes:
    """Returns the times from the origin to the exits of the enrolled participants of a selection.

    `not_counted`: participants whom the endpoint leaves out, by its own reasons. The first reason holds.
    """
    cut, enrolled_on = selection.cut_number, snapshot.subjects["enrolled_on"].astype(np.int64)
    origin = origin_days(snapshot, selection)
    is_reached = selection.by == "subset" or selection.subset == STEREOTACTIC
    reached = stereotactic_days(snapshot, selection.cut_date).reached if is_reached else _never(len(enrolled_on))
    entry = np.maximum(origin.day.astype(np.int64), enrolled_on)
    if selection.subset == STEREOTACTIC:
        entry = np.maximum(entry, reached.day)
    enrolled = selection.subjects(snapshot) & (enrolled_on <= cut)
    reasons = masks_without_time(exits, origin.day, entry, cut, not_counted)
    counted = np.flatnonzero(enrolled & ~np.any([*reasons.values()], axis=0))
    periods = _periods(snapshot, selection, counted, entry, exits, reached.day.astype(np.int64))
    origins = origin.day.astype(np.int64)[periods.subjects]
    entries = np.where(periods.start > origins, periods.start - origins, 0)
    imputed: list[tuple[Column, Column]] = [
        (origin.day, origin.precision),
        (enrolled_on, np.where((entry == enrolled_on) & (entry > origin.day), _enrolled_precision(snapshot), 0)),
        (reached.day, np.where(reached.day <= cut, reached.precision, 0)),
        (exits.day, exits.precision),
    ]
    return EndpointTimes(
        subjects=periods.subjects,
        origins=origins,
        observations=observe(periods.end - origins, periods.cause, entries),
        groups=periods.groups,
        not_counted={reason: int(np.sum(enrolled & mask)) for reason, mask in reasons.items()},
        imputed=imputed_days(
            [
                *((counted, day[counted], precision[counted]) for day, precision in imputed),
                *group_dates(snapshot, selection.by, cut, counted),
            ]
        ),
    )


def _never(count: int) -> DayColumn:
    return DayColumn(np.full(count, NEVER_NUMBER, dtype=np.int32), np.zeros(count, dtype=np.int32))


def _enrolled_precision(snapshot: StudySnapshot) -> Column:
    return snapshot.subjects["enrolled_precision"]


def masks_without_time(
    exits: Exits, origin: Column, entry: Days, cut: int, others: Mapping[NotCountedReason, Mask] = NOBODY_ELSE
) -> dict[NotCountedReason, Mask]:
    """Returns exclusive masks of the elements without time at risk, by the reason; `others` are of the endpoint."""
    has_no_origin = origin > cut
    ends_before_origin = ~has_no_origin & (exits.day < origin)
    remaining, left_out = ~has_no_origin & ~ends_before_origin, dict[NotCountedReason, Mask]()
    for reason, mask in others.items():
        left_out[reason] = remaining & mask
        remaining = remaining & ~mask
    is_never_at_risk = remaining & (entry > origin) & (exits.day <= entry)
    is_event = exits.cause != CENSORED
    return {
        "no_origin": has_no_origin,
        "exit_before_origin": ends_before_origin,
        **left_out,
        "entry_not_before_exit": is_never_at_risk & ~is_event,
        "event_before_entry": is_never_at_risk & is_event,
    }


def _periods(
    snapshot: StudySnapshot,
    selection: Selection,
    counted: NDArray[np.intp],
    entry: Days,
    exits: Exits,
    reached: Days,
) -> _Periods:
    """Returns the times at risk of the counted participants; two for those who reach a group while at risk."""
    names = selection.group_names(snapshot)[counted]
    whole = _Periods(counted, entry[counted], exits.day[counted], exits.cause[counted], names)
    if selection.by == "subset":
        return _split(replace(whole, groups=np.full(len(counted), STEREOTACTIC, dtype=object)), reached[counted], OTHER)
    if selection.by == "delivery":
        return _split(whole, snapshot.subjects["index_started_on"][counted].astype(np.int64), NO_INDEX_COURSE)
    return whole


def _split(whole: _Periods, reached: Days, earlier_group: str) -> _Periods:
    """Splits times on the day of reaching the group: until then, that day included, a participant is in the earlier."""
    is_member = reached <= whole.start
    is_split = ~is_member & (reached < whole.end)
    groups = np.where(is_member, whole.groups, earlier_group).astype(object)
    later = np.flatnonzero(is_split)
    return _Periods(
        subjects=np.concatenate([whole.subjects, whole.subjects[later]]),
        start=np.concatenate([whole.start, reached[later]]),
        end=np.concatenate([np.where(is_split, reached, whole.end), whole.end[later]]),
        cause=np.concatenate([np.where(is_split, CENSORED, whole.cause), whole.cause[later]]),
        groups=np.concatenate([groups, whole.groups[later]]),
    )
