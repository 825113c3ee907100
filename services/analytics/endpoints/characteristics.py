"""Characteristics of participants at enrollment and baseline, and of their index course (Table 1). Pure.

Everybody counts who is enrolled by the cut-off; a baseline and an index course count by their day.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.analytics.cohort.performance import ecog_status
from services.analytics.cohort.stage import NOT_DERIVABLE, NOT_REPORTED, STAGE_GROUPS
from services.analytics.derivation.rows import UNKNOWN_NUMBER
from services.analytics.endpoints.baseline_findings import metastatic_sites, molecular_findings, symptoms
from services.analytics.endpoints.enrolled import (
    Characteristic,
    EnrolledRows,
    MissingReason,
    in_order,
)
from services.analytics.snapshot.columns import number_combinations
from services.analytics.snapshot.groups import ages, stage_groups
from services.analytics.snapshot.snapshot import Mask
from services.analytics.snapshot.subject_days import DatedRows, count_imputed_dates

DELIVERY_ORDER = ("conventional", "hypofractionated", "FSRT", "SBRT", "SRS", "brachytherapy")
_CENTIGRAY_PER_GRAY = 100
_ECOG_VALUES = tuple(map(str, range(5)))


def characteristics(rows: EnrolledRows) -> Iterator[Characteristic]:
    """Yields the characteristics in the order of a first table."""
    yield _age(rows)
    yield _sex(rows)
    yield _stage(rows)
    yield from _performance(rows)
    yield Characteristic(
        "histology",
        {"no_baseline": ~rows.has_baseline},
        rows.masks_by_code(rows.column("histology"), rows.has_baseline),
    )
    yield from metastatic_sites(rows)
    yield from molecular_findings(rows)
    yield from symptoms(rows)
    yield from _index_course(rows)


def _age(rows: EnrolledRows) -> Characteristic:
    is_unknown = rows.column("birth_year") == UNKNOWN_NUMBER
    return Characteristic("age", {"not_reported": is_unknown}, numbers=ages(rows.snapshot, rows.cut), unit="years")


def _sex(rows: EnrolledRows) -> Characteristic:
    masks = rows.masks_by_code(rows.column("sex"), rows.counted)
    is_unknown = masks.pop("unknown", rows.nobody())
    standing = dict.fromkeys(("female", "male"), rows.nobody())
    return Characteristic("sex", {"unknown": is_unknown}, in_order(standing | masks, standing))


def _stage(rows: EnrolledRows) -> Characteristic:
    groups = stage_groups(rows.snapshot, rows.cut)
    missing: dict[MissingReason, Mask] = {
        "no_baseline": ~rows.has_baseline,
        "not_reported": rows.has_baseline & (groups == NOT_REPORTED),
        "not_derivable": rows.has_baseline & (groups == NOT_DERIVABLE),
    }
    return Characteristic("stage", missing, {group: rows.has_baseline & (groups == group) for group in STAGE_GROUPS})


def _performance(rows: EnrolledRows) -> Iterator[Characteristic]:
    """Yields the performance status as it was measured, and as ECOG."""
    numbers, combinations = number_combinations([rows.column("performance_scale"), rows.column("performance_value")])
    measured, ecog = dict[str, Mask](), dict.fromkeys(_ECOG_VALUES, rows.nobody())
    for number, (code, value) in enumerate(combinations):
        scale, mask = rows.word(code), rows.has_baseline & (numbers == number)
        status = ecog_status(scale, value)
        if status is not None and np.any(mask):
            measured[f"{scale} {value}"] = mask
            ecog[str(status)] = ecog.get(str(status), rows.nobody()) | mask
    missing: dict[MissingReason, Mask] = {
        "no_baseline": ~rows.has_baseline,
        "not_reported": rows.has_baseline & (rows.column("performance_value") == UNKNOWN_NUMBER),
    }
    best_first = [f"KPS {value}" for value in range(100, -1, -10)]
    yield Characteristic("performance", missing, in_order(measured, best_first))
    yield Characteristic("ecog", missing, in_order(ecog, _ECOG_VALUES))


def _index_course(rows: EnrolledRows) -> Iterator[Characteristic]:
    """Yields the intent of the index course, the deliveries of its targets, and the highest dose of a target.

    They are as prescribed last by the cut-off. Dose levels of an integrated boost are not added.
    """
    courses, targets = rows.snapshot.tables["course"], rows.snapshot.tables["target"]
    subjects_of_courses = rows.snapshot.subject_indexes(courses)
    is_index = courses["is_index"] & rows.has_index_course[subjects_of_courses]
    missing: dict[MissingReason, Mask] = {"no_index_course": ~rows.has_index_course}
    intents = {
        rows.word(code): rows.with_rows(subjects_of_courses[is_index & (courses["intent"] == code)])
        for code in np.unique(courses["intent"][is_index])
    }
    is_unstated = intents.pop("not_stated", rows.nobody())
    yield Characteristic("intent", missing | {"not_stated": is_unstated}, in_order(intents, sorted(intents)))
    chosen = _index_targets(rows)
    subjects = rows.snapshot.subject_indexes(targets)[chosen]
    deliveries = {
        rows.word(code): rows.with_rows(subjects[targets["delivery"][chosen] == code])
        for code in np.unique(targets["delivery"][chosen])
    }
    yield Characteristic("delivery", missing, in_order(deliveries, DELIVERY_ORDER), is_multiple=True)
    doses = np.zeros(len(rows.counted), dtype=np.int64)
    np.maximum.at(doses, subjects, targets["total_cgy"][chosen])
    yield Characteristic("index_dose", missing, numbers=doses, unit="Gy", parts=_CENTIGRAY_PER_GRAY)


def _index_targets(rows: EnrolledRows) -> Mask:
    """Returns which rows are targets of the index course as they are prescribed on the cut-off."""
    targets = rows.snapshot.tables["target"]
    subjects = rows.snapshot.subject_indexes(targets)
    is_valid = (targets["valid_from"] <= rows.cut) & (rows.cut <= targets["valid_to"])
    is_index = targets["course"] == rows.column("index_course")[subjects]
    chosen: Mask = is_valid & is_index & rows.has_index_course[subjects]
    return chosen


def imputed_dates(rows: EnrolledRows) -> int:
    """Returns the number of imputed enrollments, baselines, and starts and prescriptions of the index course."""
    subjects = rows.snapshot.subjects
    dates: list[DatedRows] = []
    for name, mask in (
        ("enrolled", rows.counted),
        ("baseline", rows.has_baseline),
        ("index_started", rows.has_index_course),
    ):
        chosen = np.flatnonzero(mask)
        dates.append((chosen, subjects[f"{name}_on"][chosen], subjects[f"{name}_precision"][chosen]))
    targets, of_index = rows.snapshot.tables["target"], _index_targets(rows)
    dates.append(
        (
            rows.snapshot.subject_indexes(targets)[of_index],
            targets["valid_from"][of_index],
            targets["prescribed_precision"][of_index],
        )
    )
    return count_imputed_dates(dates)
