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

from services.analytics.endpoints.toxicity_findings import Findings, ToxicityClock, assessment_keys, with_clock
from services.analytics.endpoints.toxicity_versions import dictionary_of
from services.analytics.snapshot.columns import Table
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
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
        before, after = _GradedPeriod.both(snapshot, clock, is_counted, cut)
        terms = _terms(snapshot, selection, (before, after))
        grades = _GradeTable(snapshot, is_counted, terms)
        worst_after = grades.worst(after)
        return cls(
            origin=selection.origin or "rt_start",
            terms=terms,
            before=grades.worst(before),
            after=worst_after,
            after_related=grades.worst_related(after, worst_after),
            imputed_dates=_count_imputed_dates(clock, is_counted, (before, after)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _GradedPeriod:
    """The findings and the assessments of a period before or after time 0.

    `assessments`: with the participant at the index `subjects`. `named`: all findings of these assessments, of which
    `findings` are those whose event lies in the window.
    """

    findings: Findings
    named: Findings
    assessments: Table
    subjects: NDArray[np.intp]

    @classmethod
    def both(cls, snapshot: StudySnapshot, clock: ToxicityClock, is_counted: Mask, cut: int) -> tuple[Self, Self]:
        """Returns the periods before and after time 0 of the counted participants."""
        everything = Findings.of(snapshot, clock)
        findings = everything.where(is_counted[everything.subjects])
        table = snapshot.tables["assessment"]
        assessments = table.where(is_counted[snapshot.subject_indexes(table)])
        subjects = snapshot.subject_indexes(assessments)
        day, started = assessments["assessed_on"], clock.started.day[subjects]
        is_before = (assessments["timepoint"] == snapshot.words.code("baseline")) & (day <= started)
        is_in_window = (clock.first_day[subjects] <= day) & (day <= clock.last_day[subjects])
        is_after = ~is_before & (started <= day) & (day <= cut) & is_in_window
        assessed_on, started = findings.rows["assessed_on"], clock.started.day[findings.subjects]
        are_after = ~findings.is_before & (started <= assessed_on) & (assessed_on <= cut)
        before = findings.where(findings.is_before)
        return (
            cls(before, before, assessments.where(is_before), subjects[is_before]),
            cls(
                findings.where(are_after & findings.is_in_window),
                findings.where(are_after),
                assessments.where(is_after),
                subjects[is_after],
            ),
        )


def _terms(snapshot: StudySnapshot, selection: Selection, periods: Sequence[_GradedPeriod]) -> list[str]:
    """Returns the terms that somebody named or that were on a checklist, by dictionary and number."""
    terms = set(protocol_on(snapshot.study, selection.cut_date).toxicity.checklist)
    amendments = {snapshot.words.word(code) for part in periods for code in np.unique(part.assessments["amendment"])}
    for period in protocol_periods(snapshot.study):
        if period.amendment in amendments:
            terms.update(period.protocol.toxicity.checklist)
    codes = {int(code) for part in periods for code in np.unique(part.named.rows["term"])}
    return sorted(terms | {snapshot.words.word(code) for code in codes}, key=lambda term: (dictionary_of(term), term))


class _GradeTable:
    """Places grades by participant and term. Columns are those of `terms`, rows those of the counted participants."""

    def __init__(self, snapshot: StudySnapshot, is_counted: Mask, terms: Sequence[str]) -> None:
        self._snapshot, self._terms = snapshot, terms
        self._rows = np.cumsum(is_counted) - 1
        self._shape = (int(np.sum(is_counted)), len(terms))
        self._columns = {snapshot.words.code(term): column for column, term in enumerate(terms)}

    def worst(self, period: _GradedPeriod) -> WorstGrades:
        """Returns the worst grade of each participant and term in a period."""
        grades = self._graded(period.findings)
        is_absent = self._absent(period)
        grades[is_absent] = np.maximum(grades[is_absent], 0)
        return grades

    def worst_related(self, period: _GradedPeriod, worst: WorstGrades) -> WorstGrades:
        """Returns the worst related grade of each term that was assessed; 0 where nothing is related."""
        related = self._graded(period.findings.where(period.findings.is_related(self._snapshot)))
        return np.where(worst < 0, worst, np.maximum(related, 0)).astype(np.int8)

    def _graded(self, findings: Findings) -> WorstGrades:
        grades = np.full(self._shape, NOT_ASSESSED, dtype=np.int8)
        columns = self._columns_of(findings)
        np.maximum.at(grades, (self._rows[findings.subjects], columns), findings.rows["grade"].astype(np.int8))
        return grades

    def _absent(self, period: _GradedPeriod) -> Mask:
        """Returns which terms a complete assessment of a period had on its checklist and did not name."""
        is_absent = np.zeros(self._shape, dtype=bool)
        for protocol in protocol_periods(self._snapshot.study):
            amendment = self._snapshot.words.code(protocol.amendment)
            is_complete = period.assessments["is_complete"] & (period.assessments["amendment"] == amendment)
            columns = [
                number for number, term in enumerate(self._terms) if term in protocol.protocol.toxicity.checklist
            ]
            assessments = np.bincount(self._rows[period.subjects[is_complete]], minlength=self._shape[0])
            naming = self._naming(period, is_complete)
            is_absent[:, columns] |= assessments[:, None] > naming[:, columns]
        return is_absent

    def _naming(self, period: _GradedPeriod, is_complete: Mask) -> NDArray[np.int32]:
        """Returns how many of these assessments name each term, by participant."""
        chosen = assessment_keys(period.subjects[is_complete], period.assessments["number"][is_complete])
        named = period.named.where(np.isin(assessment_keys(period.named.subjects, period.named.rows["number"]), chosen))
        counts = np.zeros(self._shape, dtype=np.int32)
        np.add.at(counts, (self._rows[named.subjects], self._columns_of(named)), 1)
        return counts

    def _columns_of(self, findings: Findings) -> NDArray[np.intp]:
        codes, positions = np.unique(findings.rows["term"], return_inverse=True)
        return np.array([self._columns[code] for code in codes.tolist()], dtype=np.intp)[positions]


def _count_imputed_dates(clock: ToxicityClock, is_counted: Mask, periods: Sequence[_GradedPeriod]) -> int:
    """Returns the number of distinct imputed days of each participant."""
    subjects = np.flatnonzero(is_counted)
    dates = [(subjects, clock.started.day[subjects], clock.started.precision[subjects])]
    for period in periods:
        rows, assessments = period.findings.rows, period.assessments
        dates.append((period.findings.subjects, rows["event_on"], rows["event_precision"]))
        dates.append((period.subjects, assessments["assessed_on"], assessments["assessed_precision"]))
    pairs = [np.stack([indexes, days.astype(np.int64)])[:, precisions > 0] for indexes, days, precisions in dates]
    return int(np.unique(np.concatenate(pairs, axis=1), axis=1).shape[1])
