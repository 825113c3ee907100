"""The lanes of a swimmer plot: whom overall survival counts, in an order, and how each lane ends. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.endpoints.exits import Days, Exits, VitalStatus
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.time_to_event import NotCountedReason
from services.analytics.snapshot.flow import DayColumn
from services.analytics.snapshot.selection import LaneOrder, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

LaneEnd = Literal["death", "undated_death", "withdrawal", "cut_off", "last_proof_of_life"]
LANE_ENDS: tuple[LaneEnd, ...] = get_args(LaneEnd)
Indexes = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """The lanes of a selection in its order, one element for each; days are counted from the origin of the lane.

    `subjects`: the index of the participant. `keys`: the numbers by which lanes are sorted, before the participants.
    `entries`: 0 for at risk from day 0 on. `ends`: a place in `LANE_ENDS`. `dates`: the origin, the entry and the exit
    of each lane with their precision. `not_counted`: the enrolled participants without a lane, by reason.
    """

    snapshot: StudySnapshot
    cut: int
    subjects: Indexes
    keys: Days
    origins: DayColumn
    entries: Days
    exits: Days
    ends: Indexes
    dates: tuple[DayColumn, ...]
    not_counted: Mapping[NotCountedReason, int]

    def __len__(self) -> int:
        return len(self.subjects)

    def count_ends(self) -> dict[LaneEnd, int]:
        """Returns how many lanes end in each way."""
        counts = np.bincount(self.ends, minlength=len(LANE_ENDS)).tolist()
        return dict(zip(LANE_ENDS, counts, strict=True))

    def numbers_of(self, subjects: Indexes) -> Indexes:
        """Returns for each of the participants the number of the lane, from 0; -1 where there is no lane."""
        numbers = np.full(len(self.snapshot.subjects), -1, dtype=np.intp)
        numbers[self.subjects] = np.arange(len(self), dtype=np.intp)
        return numbers[subjects]


def list_lanes(snapshot: StudySnapshot, selection: Selection) -> Lanes:
    """Returns the lanes of the participants whom undivided overall survival counts, in the order of the selection."""
    times = overall_survival(snapshot, replace(selection, by=None))
    observations, subjects = times.observations, times.subjects
    keys = _ORDERS[selection.sort](snapshot, subjects, times.origins, observations.exits)
    order = np.lexsort((subjects, keys))
    subjects = subjects[order]
    entries = np.zeros(len(order), dtype=np.int64) if observations.entries is None else observations.entries[order]
    origin, status = origin_days(snapshot, selection), VitalStatus.of(snapshot).at(selection.cut_number)
    exits = status.exits(selection.cut_number)
    enrolled = DayColumn(snapshot.subjects["enrolled_on"], snapshot.subjects["enrolled_precision"])
    enters_late = enrolled.day > origin.day
    return Lanes(
        snapshot=snapshot,
        cut=selection.cut_number,
        subjects=subjects,
        keys=keys[order],
        origins=_of_subjects(origin, subjects),
        entries=np.maximum(entries, 0),
        exits=observations.exits[order],
        ends=_ends(snapshot, status, exits, selection.cut_number)[subjects],
        dates=(
            _of_subjects(origin, subjects),
            _of_subjects(DayColumn(enrolled.day, np.where(enters_late, enrolled.precision, 0)), subjects),
            _of_subjects(DayColumn(exits.day, exits.precision), subjects),
        ),
        not_counted=times.not_counted,
    )


def _of_subjects(column: DayColumn, subjects: Indexes) -> DayColumn:
    return DayColumn(column.day[subjects].astype(np.int64), column.precision[subjects])


def _ends(snapshot: StudySnapshot, status: VitalStatus, exits: Exits, cut: int) -> Indexes:
    """Returns how the observation of each participant ends. After a withdrawal of consent no death is known."""
    subjects = snapshot.subjects
    masks: dict[LaneEnd, Mask] = {
        "death": exits.cause != CENSORED,
        "withdrawal": (status.withdrawn <= cut) & (status.withdrawn == subjects["participation_ends_on"]),
        "undated_death": (subjects["died_precision"] == UNDATED) & (subjects["dead_from"] <= cut),
        "cut_off": exits.day == cut,
    }
    ends = np.full(len(subjects), LANE_ENDS.index("last_proof_of_life"), dtype=np.intp)
    for name, mask in reversed(masks.items()):
        ends[mask] = LANE_ENDS.index(name)
    return ends


def _by_site(snapshot: StudySnapshot, subjects: Indexes) -> Days:
    """Returns the rank of the name of each participant's enrolling site, among those of everybody."""
    codes = snapshot.subjects["enrolling_site"]
    ranks = {code: rank for rank, code in enumerate(sorted(set(codes.tolist()), key=snapshot.words.word))}
    return np.array([ranks[code] for code in codes[subjects].tolist()], dtype=np.int64)


_ORDERS: Mapping[LaneOrder, Callable[[StudySnapshot, Indexes, Days, Days], Days]] = {
    "duration": lambda _, __, ___, exits: -exits,
    "origin": lambda _, __, origins, ___: origins,
    "participant": lambda _, subjects, __, ___: np.zeros(len(subjects), dtype=np.int64),
    "site": lambda snapshot, subjects, _, __: _by_site(snapshot, subjects),
}
"""The numbers by which lanes are sorted, from their participants, origins and exits."""
