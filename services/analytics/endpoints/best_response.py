"""The best response by RECIST 1.1 of each participant after the origin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.stereotactic import STEREOTACTIC, stereotactic_days
from services.analytics.snapshot.columns import Column
from services.analytics.snapshot.flow import DayColumn, first_days
from services.analytics.snapshot.groups import group_dates
from services.analytics.snapshot.snapshot import Mask
from services.analytics.snapshot.subject_days import count_imputed_dates, days_of_kind

Response = Literal["CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE"]
RESPONSES: tuple[Response, ...] = get_args(Response)
"""Responses, the best first; a response that is not evaluable is the best only of those who have no other."""
OBJECTIVE_RESPONSES: tuple[Response, ...] = ("CR", "PR")


@dataclass(frozen=True, slots=True, eq=False)
class BestResponses:
    """The enrolled participants with an origin by the cut-off, by their best response; the others are not assessed.

    `without_origin`: the enrolled participants who have none by then.
    """

    counted: Mask
    without_origin: Mask
    best: Mapping[Response, Mask]
    imputed_dates: int

    @property
    def assessed(self) -> Mask:
        mask: Mask = np.any([*self.best.values()], axis=0)
        return mask


def best_responses(rows: EnrolledRows) -> BestResponses:
    """Returns the best of the responses that are dated after the origin, by the cut-off.

    In the stereotactic subset they are also dated after the day on which the participant reached it.
    """
    origin = origin_days(rows.snapshot, rows.selection)
    counted: Mask = rows.counted & (origin.day <= rows.cut)
    days = days_of_kind(rows.snapshot, "response", rows.cut)
    subjects = rows.snapshot.subject_indexes(days)
    days = days.where(counted[subjects] & (days["day_on"] > _counts_after(rows, origin)[subjects]))
    subjects = rows.snapshot.subject_indexes(days)
    ranks = _ranks(rows, days["code"])
    best = np.full(len(counted), len(RESPONSES))
    np.minimum.at(best, subjects, ranks)
    decisive = first_days(rows.snapshot, days.where(ranks == best[subjects]), "day_on", "day_precision")
    return BestResponses(
        counted=counted,
        without_origin=rows.counted & ~counted,
        best={response: counted & (best == rank) for rank, response in enumerate(RESPONSES)},
        imputed_dates=_count_dates(rows, counted, origin, decisive),
    )


def _counts_after(rows: EnrolledRows, origin: DayColumn) -> Column:
    """Returns the day after which responses of each participant count."""
    if rows.selection.subset != STEREOTACTIC:
        return origin.day
    return np.maximum(origin.day, stereotactic_days(rows.snapshot, rows.selection.cut_date).reached.day)


def _ranks(rows: EnrolledRows, codes: Column) -> Column:
    """Returns the place of each response in `RESPONSES`."""
    ranks = np.zeros(len(codes), dtype=np.int64)
    for rank, response in enumerate(RESPONSES):
        ranks[codes == rows.code(response)] = rank
    return ranks


def _count_dates(rows: EnrolledRows, counted: Mask, origin: DayColumn, decisive: DayColumn) -> int:
    enrolled = DayColumn(rows.column("enrolled_on"), rows.column("enrolled_precision"))
    chosen = np.flatnonzero(counted)
    is_assessed = counted & (decisive.day <= rows.cut)
    dates = [(chosen, date.day[chosen], date.precision[chosen]) for date in (enrolled, origin)]
    assessed = np.flatnonzero(is_assessed)
    fixed = group_dates(rows.snapshot, rows.selection.by, rows.cut, chosen)
    return count_imputed_dates([*dates, *fixed, (assessed, decisive.day[assessed], decisive.precision[assessed])])
