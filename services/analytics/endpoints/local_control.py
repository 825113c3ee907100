"""Local control of each treated lesion: the time from its treatment to local failure, with what competes. Pure.

Time 0 of a lesion is the first day on which a prescription of the course names it. A death, a later course that names
the lesion and a procedure that does so compete, however long ago the last imaging was. domain.md, section 6, is the
definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from services.analytics.endpoints.exits import Days, Exits, VitalStatus
from services.analytics.endpoints.lesion_statuses import LastImaging, first_necrosis, imaged_within, last_imaging
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.stereotactic import OTHER, STEREOTACTIC
from services.analytics.endpoints.time_to_event import (
    NotCountedReason,
    masks_without_time,
)
from services.analytics.endpoints.treated_lesions import Indexes, TreatedLesions, treated_lesions
from services.analytics.snapshot.columns import NEVER_NUMBER, Column
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.groups import GroupNames, group_dates
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import count_imputed_dates
from services.analytics.statistics.risk_sets import CENSORED, Observations, observe

FAILURE, DEATH, RETREATMENT = 1, 2, 3
"""Causes of the end of a lesion's time. A failure is the event of the figure, which may also be a necrosis."""
_Treated = Callable[..., TreatedLesions]
"""Returns the treated lesions, or with `stereotactic` those with a stereotactic course; each once."""
LONG_WITHOUT_IMAGING = 183
"""Days before a death. A death without imaging of the lesion in them came long after the last one."""


@dataclass(frozen=True, slots=True, eq=False)
class LesionTimes:
    """The times of the lesions that local control counts, one element for each time at risk.

    With `by=subset` a lesion has two times if a stereotactic course treats it after another one. `subjects`: the index
    of the participant. `lesions`: the code of the lesion's id. `origins`: the number of the day of time 0. `status`:
    that of the last imaging. `is_death_after_gap`: the death competed, without imaging of the lesion in the 183 days
    before. `not_counted`: how many enrolled participants have no lesion that is counted, by reason.
    `lesions_not_counted`: how many treated lesions have no time at risk. `imputed_dates`: how many distinct imputed
    dates of the participants fixed a time.
    """

    subjects: Indexes
    lesions: Column
    origins: Days
    observations: Observations
    groups: GroupNames
    status: GroupNames
    is_death_after_gap: Mask
    not_counted: Mapping[NotCountedReason, int]
    lesions_not_counted: Mapping[NotCountedReason, int]
    imputed_dates: int

    @property
    def participants(self) -> int:
        return int(np.count_nonzero(np.bincount(self.subjects)))

    @property
    def first_of_lesions(self) -> Indexes:
        """The index of the first time of each lesion."""
        _, first = np.unique(_lesion_keys(self.subjects, self.lesions), return_index=True)
        return np.sort(first)


class _Candidates(NamedTuple):
    """Treated lesions with the calendar days of their times, counted or not.

    `entry`: the day from which a lesion can be at risk. `reached`: the day on which a stereotactic target names it.
    """

    subjects: Indexes
    lesions: Column
    named: Column
    named_precision: Column
    entry: Days
    entry_precision: Column
    reached: Column
    reached_precision: Column
    end: Days
    cause: Days
    end_precision: Column
    groups: GroupNames
    status: GroupNames
    is_death_after_gap: Mask

    def where(self, mask: Mask) -> _Candidates:
        return _Candidates._make(column[mask] for column in self)


def local_control(snapshot: StudySnapshot, selection: Selection) -> LesionTimes:
    """Returns the times of the selected lesions at the cut-off. `selection.event` is what counts as a failure."""
    treated = cache(partial(treated_lesions, snapshot, selection))
    return _times(snapshot, selection, VitalStatus.of(snapshot).exits(selection.cut_number), treated)


def other_control_readings(
    snapshot: StudySnapshot, selection: Selection, times: LesionTimes
) -> Iterator[tuple[SensitivityName, LesionTimes]]:
    """Yields the undivided times by each reading of the vital status that concerns somebody whom `times` count."""
    undivided = replace(selection, by=None)
    treated = cache(partial(treated_lesions, snapshot, undivided))
    for reading in sensitivity_readings(snapshot, selection):
        if np.any(reading.applies[times.subjects]):
            yield reading.name, _times(snapshot, undivided, reading.exits, treated)


def _times(snapshot: StudySnapshot, selection: Selection, life: Exits, treated: _Treated) -> LesionTimes:
    enrolled = _enrolled(snapshot, selection, treated)
    every = _candidates(snapshot, selection, life, enrolled, treated)
    exits = Exits(every.end, every.cause, every.end_precision)
    reasons = masks_without_time(exits, every.named, every.entry, selection.cut_number)
    is_counted = ~np.any([*reasons.values()], axis=0)
    counted, origins = every.where(is_counted), every.named[is_counted].astype(np.int64)
    is_untreated = enrolled.copy()
    is_untreated[every.subjects] = False
    return LesionTimes(
        subjects=counted.subjects,
        lesions=counted.lesions,
        origins=origins,
        observations=observe(counted.end - origins, counted.cause, np.maximum(counted.entry - origins, 0)),
        groups=counted.groups,
        status=counted.status,
        is_death_after_gap=counted.is_death_after_gap,
        not_counted={**_count_by_reason(every.subjects, is_counted, reasons), "no_origin": int(is_untreated.sum())},
        lesions_not_counted=_count_by_reason(_lesion_keys(every.subjects, every.lesions), is_counted, reasons),
        imputed_dates=count_imputed_dates(
            [
                (counted.subjects, counted.named, counted.named_precision),
                (counted.subjects, counted.entry, counted.entry_precision),
                (counted.subjects, counted.end, counted.end_precision),
                *group_dates(snapshot, selection.by, selection.cut_number, counted.subjects),
            ]
        ),
    )


def _count_by_reason(
    keys: Column, is_counted: Mask, reasons: Mapping[NotCountedReason, Mask]
) -> dict[NotCountedReason, int]:
    """Returns how many distinct keys have no element that is counted, each under its first reason."""
    counts, earlier = dict[NotCountedReason, int](), [keys[is_counted]]
    for reason, mask in reasons.items():
        new = np.unique(keys[mask])
        new = new[~np.isin(new, np.concatenate(earlier))] if len(new) else new
        counts[reason] = len(new)
        earlier.append(new)
    return counts


def _lesion_keys(subjects: Indexes, lesions: Column) -> Column:
    keys: Column = subjects.astype(np.int64) * (1 + int(lesions.max(initial=0))) + lesions
    return keys


def _enrolled(snapshot: StudySnapshot, selection: Selection, treated: _Treated) -> Mask:
    """Returns the enrolled participants of the selection; those of the subset have a stereotactic target or lesion."""
    chosen = selection.subjects(snapshot)
    if selection.subset == STEREOTACTIC:
        stereotactic = treated(stereotactic=True).subjects
        everybody = replace(selection, subset="all").subjects(snapshot)
        chosen[stereotactic] = everybody[stereotactic]
    return chosen & (snapshot.subjects["enrolled_on"] <= selection.cut_number)


def _candidates(
    snapshot: StudySnapshot, selection: Selection, life: Exits, enrolled: Mask, treated: _Treated
) -> _Candidates:
    """Returns the treated lesions of these participants, in the groups of the division."""
    is_subset = selection.subset == STEREOTACTIC
    candidates_from = partial(_candidates_from, snapshot, selection, life, enrolled)
    whole = candidates_from(treated(stereotactic=is_subset), stereotactic=is_subset)
    if selection.by != "subset":
        return whole
    stereotactic = whole if is_subset else candidates_from(treated(stereotactic=True), stereotactic=True)
    parts = [_named(stereotactic, STEREOTACTIC)]
    if not is_subset:
        parts.insert(0, _named(_until_reached(whole), OTHER))
    return _Candidates._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _named(candidates: _Candidates, group: str) -> _Candidates:
    return candidates._replace(groups=np.full(len(candidates.subjects), group, dtype=object))


def _until_reached(candidates: _Candidates) -> _Candidates:
    """Returns the lesions whose first course is not stereotactic from the entry on, until it becomes so."""
    rest = candidates.where(candidates.reached > candidates.entry)
    is_split = rest.reached < rest.end
    return rest._replace(
        end=np.where(is_split, rest.reached, rest.end),
        cause=np.where(is_split, CENSORED, rest.cause),
        end_precision=np.where(is_split, rest.reached_precision, rest.end_precision),
        is_death_after_gap=rest.is_death_after_gap & ~is_split,
    )


def _candidates_from(
    snapshot: StudySnapshot,
    selection: Selection,
    life: Exits,
    enrolled: Mask,
    lesions: TreatedLesions,
    *,
    stereotactic: bool,
) -> _Candidates:
    """Returns each lesion of these participants with the first course, or first stereotactic one, that treats it."""
    lesions = lesions.where(enrolled[lesions.subjects])
    subjects, named = lesions.subjects, lesions.named
    event = first_necrosis(snapshot, lesions) if selection.event == "necrosis" else lesions.failed
    imaging = last_imaging(snapshot, lesions, life.day)
    ends = _ends(lesions, event, imaging, Exits(life.day[subjects], life.cause[subjects], life.precision[subjects]))
    entry = _latest_of(
        named,
        DayColumn(snapshot.subjects["enrolled_on"][subjects], snapshot.subjects["enrolled_precision"][subjects]),
        *([lesions.reached] if stereotactic else []),
    )
    return _Candidates(
        subjects=subjects,
        lesions=lesions.lesions,
        named=named.day,
        named_precision=named.precision,
        entry=entry.day.astype(np.int64),
        entry_precision=entry.precision,
        reached=lesions.reached.day,
        reached_precision=lesions.reached.precision,
        end=ends.day,
        cause=ends.cause,
        end_precision=ends.precision,
        groups=selection.group_names(snapshot)[subjects],
        status=imaging.status,
        is_death_after_gap=(ends.cause == DEATH) & ~imaged_within(snapshot, lesions, ends.day, LONG_WITHOUT_IMAGING),
    )


def _latest_of(first: DayColumn, *others: DayColumn) -> DayColumn:
    """Returns the latest of several days, of equal ones the first."""
    latest = first
    for other in others:
        is_later = other.day > latest.day
        latest = DayColumn(
            np.where(is_later, other.day, latest.day), np.where(is_later, other.precision, latest.precision)
        )
    return latest


def _ends(lesions: TreatedLesions, event: DayColumn, imaging: LastImaging, life: Exits) -> Exits:
    """Returns the end of each lesion's time: on one day, failure comes before re-treatment, and that before death.

    Without any of them, time ends on the last imaging, or on day 0 if there is none. `life`: the end of observation of
    the participant of each lesion.
    """
    death = DayColumn(np.where(life.cause != CENSORED, life.day, NEVER_NUMBER), life.precision)
    causes = np.array([FAILURE, RETREATMENT, DEATH, CENSORED])
    censored = DayColumn(
        np.where(imaging.on.day < NEVER_NUMBER, imaging.on.day, np.minimum(lesions.named.day, life.day)),
        np.where(imaging.on.day < NEVER_NUMBER, imaging.on.precision, lesions.named.precision),
    )
    columns = [*(_up_to(column, life.day) for column in (event, lesions.retreated)), death, censored]
    days = np.stack([column.day.astype(np.int64) for column in columns])
    first = np.argmin(days[:-1], axis=0)
    chosen = np.where(days[:-1].min(axis=0) < NEVER_NUMBER, first, len(columns) - 1)
    elements = np.arange(len(lesions))
    precision = np.stack([column.precision.astype(np.int64) for column in columns])
    return Exits(days[chosen, elements], causes[chosen], precision[chosen, elements])


def _up_to(column: DayColumn, last: Days) -> DayColumn:
    """Returns the days that are not after the last day of each lesion, `NEVER_NUMBER` in place of others."""
    return DayColumn(np.where(column.day <= last, column.day, NEVER_NUMBER), column.precision)
