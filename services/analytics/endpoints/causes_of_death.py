"""The deaths of enrolled participants by cause. Pure.

A death counts from its day, after a withdrawal of consent too; without a date, from the last proof of life, as in the
participant flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.snapshot.groups import group_dates
from services.analytics.snapshot.snapshot import Mask
from services.analytics.snapshot.subject_days import count_imputed_dates

CauseOfDeath = Literal["tumour", "treatment", "other", "unknown"]
CAUSES: tuple[CauseOfDeath, ...] = get_args(CauseOfDeath)


@dataclass(frozen=True, slots=True, eq=False)
class CountedDeaths:
    """The enrolled participants who are dead on the cut-off, by cause, and those whose death is uncertain or late.

    `presumed`: it is not confirmed. `undated`: the day is not known. `after_withdrawal`: it came after the withdrawal
    of consent, so that no survival figure counts it unless a registry reports deaths.
    """

    died: Mask
    causes: Mapping[CauseOfDeath, Mask]
    presumed: Mask
    undated: Mask
    after_withdrawal: Mask
    imputed_dates: int


def deaths_by_cause(rows: EnrolledRows) -> CountedDeaths:
    """Returns the deaths by the cut-off."""
    died: Mask = rows.counted & (rows.column("dead_from") <= rows.cut)
    dates = [
        (np.flatnonzero(mask), rows.column(day)[mask], rows.column(precision)[mask])
        for mask, day, precision in (
            (rows.counted, "enrolled_on", "enrolled_precision"),
            (died, "dead_from", "died_precision"),
        )
    ]
    return CountedDeaths(
        died=died,
        causes={cause: died & (rows.column("death_cause") == rows.code(cause)) for cause in CAUSES},
        presumed=died & rows.column("is_death_presumed"),
        undated=died & (rows.column("died_precision") == UNDATED),
        after_withdrawal=died & (rows.column("dead_from") > rows.column("participation_ends_on")),
        imputed_dates=count_imputed_dates(
            [*dates, *group_dates(rows.snapshot, rows.selection.by, rows.cut, np.flatnonzero(rows.counted))]
        ),
    )
