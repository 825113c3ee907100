"""The worst grade of each term of toxicity per participant, before and after the start of a course. Pure.

A term is 0 where an assessment with a complete checklist has it on the checklist and does not name it. A finding that
was not graded neither raises nor lowers a grade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.endpoints.toxicity_findings import (
    Assessments,
    Findings,
    ToxicityClock,
    present_codes,
    with_clock,
)
from services.analytics.endpoints.toxicity_versions import dictionary_of
from services.analytics.snapshot.columns import Column
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import DatedRows, count_imputed_dates
from shared.gate.study_timeline import protocol_on, protocol_periods

NOT_ASSESSED, UNGRADED = -2, -1
"""A term that nobody looked for, and one with findings that were not graded alone; grades are 0 to 5."""
WorstGrades = NDArray[np.int8]
"""The worst grade by participant and term: `NOT_ASSESSED`, `UNGRADED`, or 0 to 5."""


@dataclass(frozen=True, slots=True, eq=False)
class ToxicityGrades:
    """Worst grades of the counted participants: a row for each, a column for each of `terms`.

    `after_related`: of a term that was assessed after time 0, the worst grade that is related to a course, or 0.
    `imputed_dates`: how many distinct imputed dates fixed time 0 or a grade.
    """

    origin: Origin
    terms: Sequence[str]
    before: WorstGrades
    after: WorstGrades
    after_related: WorstGrades
    imputed_dates: int

    @classmethod
    def of(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the grades of the enrolled participants of a selection whose clock began by the cut-off."""
        selection = with_clock(selection)
        clock, cut = ToxicityClock.of(snapshot, selection), selection.cut_number
        is_enrolled = selection.subjects(snapshot) & (snapshot.subjects["enrolled_on"] <= cut)
        is_counted: Mask = is_enrolled & (clock.started.day <= cut)
        before, after = _periods(snapshot, clock, is_counted, cut)
        terms = _terms(snapshot, selection, (before, after))
        grades = _GradeTable(snapshot, is_counted, terms)
        worst_after, after_related = grades.worst(after)
        return cls(
            origin=selection.origin or "rt_start",
            terms=terms,
            before=grades.worst(before)[0],
            after=worst_after,
            after_related=after_related,
            imputed_dates=_count_imputed_dates(clock, is_counted, (before, after)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _GradedPeriod:
    """The findings and the assessments of a period before or after time 0.

    `named`: the findings of its assessments and its serious adverse events, of which `findings` are those whose event
    lies in the window. `is_in_window`: the assessments whose own day does.
    """

    findings: Findings
    named: Findings
    assessments: Assessments
    is_in_window: Mask


def _periods(
    snapshot: StudySnapshot, clock: ToxicityClock, is_counted: Mask, cut: int
) -> tuple[_GradedPeriod, _GradedPeriod]:
    """Returns the periods before and after time 0 of the counted participants."""
    assessments = Assessments.of(snapshot, clock)
    day, subjects = assessments.rows["assessed_on"], assessments.subjects
    findings = Findings.of(snapshot, assessments, snapshot.tables["finding"]["assessed_on"] <= cut)
    findings = findings.where(is_counted[findings.subjects])
    is_before = assessments.is_before & is_counted[subjects]
    is_since = assessments.is_since & is_counted[subjects] & (day <= cut)
    is_event = (findings.assessments < 0) & (clock.started.day[findings.subjects] <= findings["event_on"])
    before = findings.where(findings.are_of(is_before))
    since = findings.where(findings.are_of(is_since) | is_event)
    is_in_window = is_since & (clock.first_day[subjects] <= day) & (day <= clock.last_day[subjects])
    return (
        _GradedPeriod(before, before, assessments, is_before),
        _GradedPeriod(since.where(since.are_in_window(clock)), since, assessments, is_in_window),
    )


def _terms(snapshot: StudySnapshot, selection: Selection, periods: Sequence[_GradedPeriod]) -> list[str]:
    """Returns the terms that somebody named or that were on a checklist, by dictionary and number."""
    terms = set(protocol_on(snapshot.study, selection.cut_date).toxicity.checklist)
    for part in periods:
        amendments = present_codes(part.assessments.rows["amendment"][part.is_in_window])
        for period in protocol_periods(snapshot.study):
            if snapshot.words.code(period.amendment) in amendments:
                terms.update(period.protocol.toxicity.checklist)
        terms.update(snapshot.words.word(code) for code in present_codes(part.named["term"]))
    return sorted(terms, key=lambda term: (dictionary_of(term), term))


class _GradeTable:
    """Places grades by participant and term. Columns are those of `terms`, rows those of the counted participants."""

    def __init__(self, snapshot: StudySnapshot, is_counted: Mask, terms: Sequence[str]) -> None:
        self._snapshot, self._terms = snapshot, terms
        self._rows = np.cumsum(is_counted) - 1
        self._shape = (int(np.sum(is_counted)), len(terms))

    def worst(self, period: _GradedPeriod) -> tuple[WorstGrades, WorstGrades]:
        """Returns the worst grade of each participant and term in a period, and the worst that is related to a course.

        The latter is 0 where a term was assessed and nothing is related.
        """
        findings = period.findings
        cells, graded = self._cells(findings, self._terms), findings["grade"]
        is_related = findings.are_related(self._snapshot)
        worst = self._place(cells, graded)
        for protocol in protocol_periods(self._snapshot.study):
            checklist = [term for term in self._terms if term in protocol.protocol.toxicity.checklist]
            is_absent = self._absent(period, self._snapshot.words.code(protocol.amendment), checklist)
            columns = [self._terms.index(term) for term in checklist]
            worst[:, columns] = np.where(is_absent, np.maximum(worst[:, columns], 0), worst[:, columns])
        related = np.maximum(self._place(cells[is_related], graded[is_related]), 0)
        return worst, np.where(worst < 0, worst, related)

    def _place(self, cells: NDArray[np.int64], graded: Column) -> WorstGrades:
        """Returns the worst of these grades by participant and term: higher grades replace lower ones."""
        worst = np.full(self._shape[0] * self._shape[1], NOT_ASSESSED, dtype=np.int8)
        for grade in range(UNGRADED, 6):
            worst[cells[graded == grade]] = grade
        return worst.reshape(self._shape)

    def _absent(self, period: _GradedPeriod, amendment: int, checklist: Sequence[str]) -> Mask:
        """Returns which terms of a checklist an assessment did not name that was complete under the amendment.

        The result has a row for each participant and a column for each term of the checklist.
        """
        rows = period.assessments.rows
        is_complete = period.is_in_window & rows["is_complete"] & (rows["amendment"] == amendment)
        assessments = np.bincount(self._rows[period.assessments.subjects[is_complete]], minlength=self._shape[0])
        cells = self._cells(period.named.where(period.named.are_of(is_complete)), checklist)
        naming = np.bincount(cells[cells >= 0], minlength=self._shape[0] * len(checklist))
        is_absent: Mask = assessments[:, None] > naming.reshape(self._shape[0], len(checklist))
        return is_absent

    def _cells(self, findings: Findings, terms: Sequence[str]) -> NDArray[np.int64]:
        """Returns the place of each finding in a table of participants and these terms; -1 for another term."""
        codes = findings["term"]
        columns = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
        for column, term in enumerate(terms):
            if 0 <= self._snapshot.words.code(term) < len(columns):
                columns[self._snapshot.words.code(term)] = column
        chosen = columns[codes]
        return np.where(chosen < 0, -1, self._rows[findings.subjects] * len(terms) + chosen)


def _count_imputed_dates(clock: ToxicityClock, is_counted: Mask, periods: Sequence[_GradedPeriod]) -> int:
    """Returns the number of distinct imputed days of each participant."""
    subjects = np.flatnonzero(is_counted)
    dates: list[DatedRows] = [(subjects, clock.started.day[subjects], clock.started.precision[subjects])]
    for period in periods:
        findings, rows, is_chosen = period.findings, period.assessments.rows, period.is_in_window
        dates.append((findings.subjects, findings["event_on"], findings["event_precision"]))
        chosen_subjects, day, precision = period.assessments.subjects, rows["assessed_on"], rows["assessed_precision"]
        dates.append((chosen_subjects[is_chosen], day[is_chosen], precision[is_chosen]))
    return count_imputed_dates(dates)
