"""The planned visits whose window has closed before a cut-off, and what became of each by then. Pure.

The states are those of `shared/protocol/visit_status.py` at the cut-off; missed and overdue are one, not reported. A
fact dated after the cut-off changes nothing, so a loss that was resumed after it still stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.cohort.date_imputation import MONTH, YEAR
from services.analytics.snapshot.columns import NEVER_NUMBER, Table
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import count_imputed_dates
from shared.protocol.visit_status import END_REASONS

ClosedVisitState = Literal["done", "done_late", "not_reported", "not_applicable"]
_LOST = END_REASONS.index("lost") + 1
_PRECISIONS = {"died": "died_precision", "withdrew": "participation_ends_precision"}
"""The column of participants with the precision of an end of follow-up."""


@dataclass(frozen=True, slots=True)
class ClosedVisits:
    """The visits of enrolled participants of a selection whose window closed before the cut-off.

    `subjects`: for each visit the index of its participant. `states`: exclusive masks over the visits.
    """

    visits: Table
    subjects: NDArray[np.intp]
    states: Mapping[ClosedVisitState, Mask]
    imputed_dates: int

    @classmethod
    def of(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the visits as they are counted on the cut-off, of every schedule."""
        cut = selection.cut_number
        enrolled = selection.subjects(snapshot) & (snapshot.subjects["enrolled_on"] <= cut)
        every = snapshot.tables["visit"]
        is_closed = (every["valid_from"] <= cut) & (cut <= every["valid_to"]) & (every["closes"] < cut)
        closed = every.where(is_closed)
        closed = closed.where(enrolled[snapshot.subject_indexes(closed)])
        subjects = snapshot.subject_indexes(closed)
        states = _states(closed, cut)
        imputed = _count_imputed_dates(snapshot, closed, subjects, states, cut)
        return cls(closed, subjects, states, imputed)


def _states(visits: Table, cut: int) -> dict[ClosedVisitState, Mask]:
    contact_on, closes = visits["contact_on"], visits["closes"]
    done = contact_on <= closes
    done_late = ~done & (contact_on <= cut)
    remaining = ~done & ~done_late
    not_applicable = remaining & (_has_ended(visits) | _is_absent(visits, cut))
    return {
        "done": done,
        "done_late": done_late,
        "not_reported": remaining & ~not_applicable,
        "not_applicable": not_applicable,
    }


def _has_ended(visits: Table) -> Mask:
    """Returns for which visits follow-up ended by the end of the window, which has closed: so any closing counts."""
    return (visits["ends_on"] <= visits["closes"]) | (visits["closing_on"] <= visits["closes"])


def _is_absent(visits: Table, cut: int) -> Mask:
    """Returns for which visits the participant was lost when the window closed, and not found again by the cut-off."""
    return (visits["absent_until"] < NEVER_NUMBER) & (visits["absent_until"] > cut)


def _count_imputed_dates(
    snapshot: StudySnapshot,
    visits: Table,
    subjects: NDArray[np.intp],
    states: Mapping[ClosedVisitState, Mask],
    cut: int,
) -> int:
    """Returns how many imputed dates fixed a state: anchors, contacts, and ends that leave visits out, each once."""
    reported = states["done"] | states["done_late"]
    anchors = count_imputed_dates([(subjects, visits["anchor_on"], visits["anchor_precision"])])
    contact_precision = np.where(reported, visits["contact_precision"], 0)
    contacts = count_imputed_dates([(subjects, visits["contact_on"], contact_precision)])
    ended = states["not_applicable"] & (visits["ends_on"] <= np.minimum(visits["closes"], visits["closing_on"]))
    total = anchors + contacts
    for reason, column in _PRECISIONS.items():
        of_reason = np.unique(subjects[ended & (visits["ends_as"] == END_REASONS.index(reason) + 1)])
        precisions = snapshot.subjects[column][of_reason]
        total += int(np.sum((precisions == MONTH) | (precisions == YEAR)))
    is_lost = (ended & (visits["ends_as"] == _LOST)) | (states["not_applicable"] & ~_has_ended(visits))
    absences = snapshot.tables["absence"]
    imputed = absences["lost_precision"] > 0
    standing = absences.where(imputed & (absences["lost_on"] <= cut) & (cut < absences["resumed_on"]))
    return total + len(np.intersect1d(subjects[is_lost], snapshot.subject_indexes(standing)))
