"""Reads the tables that `reference/make_reference.R` wrote with R, survival and cmprsk."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.analytics.statistics.risk_sets import Observations, observe

FOLDER = Path(__file__).parent / "reference"
Row = Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    observations: Observations
    groups: NDArray[np.int64]
    """Groups 0, 1, … of the observations."""
    clusters: NDArray[np.int64]
    covariate: NDArray[np.float64]


@cache
def cohorts() -> Mapping[str, Cohort]:
    return {name: _cohort(rows) for name, rows in table("cohorts").items()}


def _cohort(rows: Sequence[Row]) -> Cohort:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Cohort(
        observations=observe(columns["exit"], columns["cause"], columns["entry"]),
        groups=np.unique(columns["group"], return_inverse=True)[1],
        clusters=columns["cluster"].astype(np.int64),
        covariate=columns["covariate"] if len(set(columns["covariate"])) > 1 else columns["group"],
    )


@cache
def table(name: str) -> Mapping[str, Sequence[Row]]:
    """Returns the rows by cohort, with NaN for what is missing in R."""
    rows = defaultdict[str, list[Row]](list)
    with (FOLDER / f"{name}.csv").open() as file:
        for row in csv.DictReader(file):
            cohort = row.pop("cohort", "")
            rows[cohort].append({key: float(value.replace("NA", "nan")) for key, value in row.items()})
    return rows


def names(table_name: str) -> list[str]:
    return list(table(table_name))


def column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows])


def assert_equal(ours: ArrayLike, expected: ArrayLike, tolerance: float = 1e-12) -> None:
    """Compares up to `tolerance` times the greater of 1 and the value; None and NaN are equal."""
    left, right = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    assert left.shape == right.shape
    assert np.array_equal(np.isnan(left), np.isnan(right)), (left, right)
    close = np.abs(left - right) <= tolerance * np.maximum(1, np.abs(right))
    assert np.all(close | np.isnan(right)), (left[~close], right[~close])
