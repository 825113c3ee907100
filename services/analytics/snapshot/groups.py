"""Groups of participants by what was known at enrollment, at baseline, and at the start of the index course. Pure.

What is known later changes none of them: a group that a participant could reach by living longer would count the time
until then as survival. A baseline and an index course count by their day, up to a cut-off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from services.analytics.cohort.performance import ecog_status
from services.analytics.cohort.stage import NOT_DERIVABLE, NOT_REPORTED, STAGE_GROUPS, stage_group
from services.analytics.snapshot.columns import number_combinations
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import DatedRows

GroupNames = NDArray[np.object_]
"""The name of the group of each participant."""
STAGES = (*STAGE_GROUPS, NOT_DERIVABLE, NOT_REPORTED)
PERFORMANCES = ("0-1", "2", "3-4", NOT_REPORTED)
UNDER_65, FROM_65 = "under_65", "from_65"
SEVERAL_DELIVERIES, NO_INDEX_COURSE = "several", "no_index_course"
_PERFORMANCE_OF_ECOG: Mapping[int | None, str] = {0: "0-1", 1: "0-1", 2: "2", 3: "3-4", 4: "3-4"}
"""Without 5, which is dead: nobody is enrolled with it, so a baseline that states it reports no performance."""
_DATES_OF_GROUPS: Mapping[str | None, str] = {
    "stage": "baseline",
    "performance": "baseline",
    "delivery": "index_started",
}
_FIRST_DAY = np.datetime64("2000-01-01")
_JULY, _OLDER_FROM = 7, 65
_TNM = ("t", "n", "m", "tnm_edition", "primary_site", "histology")


def ages(snapshot: StudySnapshot, cut: int) -> NDArray[np.int64]:
    """Returns the age of each participant who is enrolled by the cut-off, in years.

    It is the year of enrollment less the year of birth, one less before July.
    """
    enrolled = snapshot.subjects["enrolled_on"]
    months = (_FIRST_DAY + np.where(enrolled <= cut, enrolled, 0)).astype("datetime64[M]").astype(np.int64)
    years, month = 1970 + months // 12, months % 12 + 1
    age: NDArray[np.int64] = years - snapshot.subjects["birth_year"] - (month < _JULY)
    return age


def age_groups(snapshot: StudySnapshot, cut: int) -> GroupNames:
    """Returns `under_65` or `from_65` for each participant."""
    return np.where(ages(snapshot, cut) < _OLDER_FROM, UNDER_65, FROM_65).astype(object)


def stage_groups(snapshot: StudySnapshot, cut: int) -> GroupNames:
    """Returns the stage group of each participant; `not_reported` without a baseline by the cut-off."""
    numbers, combinations = number_combinations([snapshot.subjects[name] for name in _TNM])
    groups = [stage_group(*map(snapshot.words.word, combination)) for combination in combinations]
    return _at_baseline(snapshot, cut, np.array(groups, dtype=object)[numbers])


def performance_groups(snapshot: StudySnapshot, cut: int) -> GroupNames:
    """Returns the ECOG status of each participant, as measured or from Karnofsky, in groups.

    `not_reported` without a baseline by the cut-off.
    """
    numbers, combinations = number_combinations(
        [snapshot.subjects[name] for name in ("performance_scale", "performance_value")]
    )
    statuses = [ecog_status(snapshot.words.word(scale), value) for scale, value in combinations]
    groups = [_PERFORMANCE_OF_ECOG.get(status, NOT_REPORTED) for status in statuses]
    return _at_baseline(snapshot, cut, np.array(groups, dtype=object)[numbers])


def delivery_groups(snapshot: StudySnapshot, cut: int) -> GroupNames:
    """Returns the delivery of each participant's index course, as it was prescribed on the day of its start.

    `several` for targets of different deliveries, `no_index_course` where it has not started by the cut-off.
    """
    targets, subjects = snapshot.tables["target"], snapshot.subjects
    of_targets, started = snapshot.subject_indexes(targets), subjects["index_started_on"]
    is_first = (targets["valid_from"] <= started[of_targets]) & (started[of_targets] <= targets["valid_to"])
    is_index = (targets["course"] == subjects["index_course"][of_targets]) & (started[of_targets] <= cut)
    groups = np.full(len(subjects), NO_INDEX_COURSE, dtype=object)
    for code in np.unique(targets["delivery"][is_first & is_index]):
        having = np.unique(of_targets[is_first & is_index & (targets["delivery"] == code)])
        is_only = groups[having] == NO_INDEX_COURSE
        groups[having] = np.where(is_only, snapshot.words.word(code), SEVERAL_DELIVERIES)
    return groups


def group_dates(snapshot: StudySnapshot, by: str | None, cut: int, subjects: NDArray[np.intp]) -> list[DatedRows]:
    """Returns the days that fix the groups of these participants in a division; none where no day does.

    `subjects`: indexes of participants. A day after the cut-off has the precision 0: it fixes nothing.
    """
    name = _DATES_OF_GROUPS.get(by)
    if name is None:
        return []
    day, precision = snapshot.subjects[f"{name}_on"][subjects], snapshot.subjects[f"{name}_precision"][subjects]
    return [(subjects, day, np.where(day <= cut, precision, 0))]


def _at_baseline(snapshot: StudySnapshot, cut: int, groups: GroupNames) -> GroupNames:
    has_baseline: Mask = snapshot.subjects["baseline_on"] <= cut
    return np.where(has_baseline, groups, NOT_REPORTED)


def _words_of(column: str) -> Callable[[StudySnapshot, int], GroupNames]:
    def names(snapshot: StudySnapshot, _: int) -> GroupNames:
        return np.array([snapshot.words.word(code) for code in snapshot.subjects[column]], dtype=object)

    return names


def _one_group(snapshot: StudySnapshot, _: int) -> GroupNames:
    return np.full(len(snapshot.subjects), "all", dtype=object)


FIXED_GROUPS: Mapping[str | None, Callable[[StudySnapshot, int], GroupNames]] = {
    None: _one_group,
    "site": _words_of("enrolling_site"),
    "sex": _words_of("sex"),
    "age": age_groups,
    "stage": stage_groups,
    "performance": performance_groups,
    "delivery": delivery_groups,
}
"""The functions that return the groups of a division at a cut-off."""
