"""The participants that a figure counts, and the last day that it counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from services.analytics.snapshot.columns import Table, day_number
from services.analytics.snapshot.groups import FIXED_GROUPS, GroupNames
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from shared.gate.study_timeline import protocol_on

Origin = Literal["diagnosed", "enrolled", "rt_start", "rt_end", "stereotactic_start"]
"""Time 0 of times to events."""
ToxicityWindow = Literal["all", "acute", "late"]
"""The toxicity that counts, by the days from a course to the event."""
LateFrom = Literal["start", "end"]
"""The day of a course from which late toxicity is counted."""
LesionEvent = Literal["failure", "necrosis"]
"""The event of a treated lesion that local control counts."""
LaneOrder = Literal["duration", "origin", "participant", "site"]
"""The order of lanes of participants: the longest first, by the day of the origin, by number, or by enrolling site."""
DEFAULT_LANDMARKS = (6, 12, 24)
"""Months at which figures of times to events state an estimate, unless a request names others."""


@dataclass(frozen=True)
class ToxicitySelection:
    """The toxicity that counts: acute up to so many days from the start or the end of the course, late after them.

    `emergent`: only grades above that of the same term at baseline, of everybody.
    """

    window: ToxicityWindow = "all"
    late_after: int = 90
    late_from: LateFrom = "start"
    emergent: bool = False


ALL_TOXICITY = ToxicitySelection()


@dataclass(frozen=True)
class Selection:
    """The participants that a figure counts, and the last day that it counts.

    `sites`: enrolling sites; None: all. `subset`: `all` or `stereotactic`. `by`: the stratification; None: none.
    `origin`: time 0 of times to events; None: that of the protocol. `landmarks`: the months at which such figures
    state an estimate. `toxicity`: the toxicity that figures of it count. `is_named_cut`: whether the cut-off is that of
    a named data cut, whose figures have tests. `event`: what local control counts. `sort`: the order of lanes.
    """

    cut_date: date
    sites: frozenset[str] | None = None
    subset: str = "all"
    by: str | None = None
    origin: Origin | None = None
    landmarks: tuple[int, ...] = DEFAULT_LANDMARKS
    toxicity: ToxicitySelection = ALL_TOXICITY
    is_named_cut: bool = False
    event: LesionEvent = "failure"
    sort: LaneOrder = "duration"

    @property
    def cut_number(self) -> int:
        """The data cut-off as the number of a day, as columns hold it."""
        return day_number(self.cut_date)

    def subjects(self, snapshot: StudySnapshot) -> Mask:
        """Returns which participants are selected: screened, in analyses, of the sites and the subset."""
        subjects = snapshot.subjects
        chosen = subjects["is_screened"] & ~subjects["is_excluded"] & self._at_sites(snapshot)
        return chosen if self.subset == "all" else chosen & stereotactic_subjects(snapshot, self.cut_date)

    def count_excluded(self, snapshot: StudySnapshot) -> int:
        """Returns the number of screened participants of the selected sites who are in no analysis."""
        subjects = snapshot.subjects
        return int(np.sum(subjects["is_screened"] & subjects["is_excluded"] & self._at_sites(snapshot)))

    def group_names(self, snapshot: StudySnapshot) -> GroupNames:
        """Returns the group of each participant; `all` in an undivided figure."""
        if self.by == "subset":
            return np.where(stereotactic_subjects(snapshot, self.cut_date), "stereotactic", "other").astype(object)
        return FIXED_GROUPS[self.by](snapshot, self.cut_number)

    def _at_sites(self, snapshot: StudySnapshot) -> Mask:
        if self.sites is None:
            return np.ones(len(snapshot.subjects), dtype=bool)
        return np.isin(snapshot.subjects["enrolling_site"], snapshot.words.codes(sorted(self.sites)))


def stereotactic_targets(snapshot: StudySnapshot, cut_date: date) -> Table:
    """Returns the targets that treat a metastasis stereotactically on the cut-off, as its protocol defines that."""
    targets, number = snapshot.tables["target"], day_number(cut_date)
    deliveries = snapshot.words.codes(protocol_on(snapshot.study, cut_date).stereotactic.deliveries)
    is_valid = (targets["valid_from"] <= number) & (number <= targets["valid_to"])
    return targets.where(is_valid & targets["treats_metastasis"] & np.isin(targets["delivery"], deliveries))


def stereotactic_subjects(snapshot: StudySnapshot, cut_date: date) -> Mask:
    """Returns which participants have a metastasis that is treated stereotactically by the cut-off."""
    return snapshot.subjects_with(stereotactic_targets(snapshot, cut_date))
