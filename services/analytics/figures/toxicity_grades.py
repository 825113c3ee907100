"""Toxicity grades: the worst grade of each term per participant, before and after radiotherapy began."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.origins import ORIGIN_WORDS
from services.analytics.endpoints.toxicity_findings import CLOCKS
from services.analytics.endpoints.toxicity_grades import UNGRADED, ToxicityGrades, WorstGrades
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.severe_toxicity_words import describe_window
from services.analytics.figures.survival_numbers import Definition
from services.analytics.figures.toxicity_grades_chart import MOST_TERMS, GradeBar, draw_grades
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import count_noun
from shared.gate.study_timeline import protocol_on
from shared.terminology.ctcae import TermNames

GradeName = Literal["0", "1", "2", "3", "4", "5", "not_assessed"]
_GRADES: tuple[GradeName, ...] = get_args(GradeName)
GradeCounts = dict[GradeName, int]
"""Participants by their worst grade of a term. Each participant counts once."""
_READINGS = ("before", "after", "after_related")
_READING_WORDS = {"before": "before", "after": "after", "after_related": "after, related"}
_NAMES = TermNames()


class TermGrades(BaseModel):
    """The participants by their worst grade of a term: before time 0, after it, and after it of what is related.

    `ungraded_before` and `ungraded` count participants who are not assessed before and after time 0, because their
    findings of the term were never graded.
    """

    model_config = ConfigDict(frozen=True)

    term: str
    name: str
    before: GradeCounts
    after: GradeCounts
    after_related: GradeCounts
    ungraded_before: int
    ungraded: int

    def count_at_least(self, grade: int, counts: GradeCounts) -> int:
        """Returns how many of the participants have a grade or a higher one."""
        return sum(counts[name] for name in _GRADES[grade:6])


class ToxicityGradesFigure(Figure):
    """The worst grade of each term per participant before and after radiotherapy began, by the terms of CTCAE.

    `n`: participants whose index course, or first stereotactic course, began by the data cut-off. `dictionary`: that of
    the protocol in force on it; terms of other versions are terms of their own.
    """

    NAME: ClassVar[str] = "toxicity-grades"
    TITLE: ClassVar[str] = "Toxicity grades"
    EXPLANATION: ClassVar[str] = (
        "The worst grade of each term of each participant, at baseline and after it. A term of a complete "
        "checklist that is not named is grade 0; a term that was not looked for is not assessed."
    )
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin", "window", "late_after", "late_from"})
    ORIGINS: ClassVar[tuple[Origin, ...]] = CLOCKS
    TABLES: ClassVar[tuple[str, ...]] = ("assessment", "course", "finding")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset({"n", *(f"terms.{name}" for name in (*_READINGS, "ungraded_before", "ungraded"))}),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"definition.version"}),
    )
    DEFINITION: ClassVar[Definition] = Definition(id="toxicity-grades", version=1)

    origin: Origin
    definition: Definition
    dictionary: str
    n: int
    terms: tuple[TermGrades, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        grades = ToxicityGrades.of(snapshot, selection)
        return cls(
            origin=grades.origin,
            definition=cls.DEFINITION,
            dictionary=protocol_on(snapshot.study, selection.cut_date).toxicity.dictionary,
            n=len(grades.after),
            terms=tuple(_term_grades(term, column, grades) for column, term in enumerate(grades.terms)),
            imputed_dates=grades.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts: they are of the whole study, and of its state at the data cut-off."""
        return self

    def caption(self, context: FigureContext) -> str:
        """Returns what is counted, and the terms with the most severe grades."""
        return " ".join([*self._sentences(context), self.provenance(context)])

    def _sentences(self, context: FigureContext) -> Iterator[str]:
        origin = ORIGIN_WORDS[self.origin]
        yield (
            f"Worst grade of each term per participant, of {count_noun(self.n, 'participant')}: at baseline by "
            f"{origin}, and in all other assessments from that day on, with serious adverse events. A term is grade 0 "
            "where a complete checklist has it and the assessment does not name it."
        )
        yield from describe_window(context.filters)
        severe = [(term.count_at_least(3, term.after), term) for term in self.terms]
        if any(count for count, _ in severe):
            worst = sorted((-count, term.name) for count, term in severe if count)[:5]
            counts = ", ".join(f"{name} {-count}" for count, name in worst)
            yield f"Participants with grade 3 or more since then: {counts}."
        else:
            yield "Nobody has had a grade of 3 or more since then."
        ungraded = sum(term.ungraded for term in self.terms)
        if ungraded:
            pairs = count_noun(ungraded, "pair")
            yield f"Not assessed since then because nothing was graded: {pairs} of a participant and a term."
        if (hidden := len(self._toxic_terms()) - MOST_TERMS) > 0:
            yield f"The picture has the {MOST_TERMS} terms with the highest grades; {hidden} more are in the table."

    def headline(self, context: FigureContext) -> Headline:
        severe = sum(1 for term in self.terms if term.count_at_least(3, term.after))
        return [
            ("participants", str(self.n), "participants since radiotherapy began"),
            ("severe", str(severe), "terms with grade 3 or more since then"),
        ]

    def table(self) -> FigureTable:
        """Returns three rows for each term: before, after, and after of what is related."""
        header = ["Term", "Name", "Period", *(f"Grade {grade}" for grade in _GRADES[:6]), "Not assessed"]
        rows = [
            [term.term, term.name, _READING_WORDS[reading], *(str(getattr(term, reading)[name]) for name in _GRADES)]
            for term in self.terms
            for reading in _READINGS
        ]
        return header, rows

    def draw(self, context: FigureContext) -> str:
        """Returns bars for the terms with a grade of 1 or more: before to the left, after to the right."""
        bars = [
            GradeBar(term.name, _bar_counts(term.before), _bar_counts(term.after))
            for term in self._toxic_terms()[:MOST_TERMS]
        ]
        return draw_grades(self.NAME, self.TITLE, self.caption(context), bars, self.n)

    def _toxic_terms(self) -> list[TermGrades]:
        """Returns the terms with a grade of 1 or more, those with the most severe grades after first."""
        toxic = [
            term for term in self.terms if term.count_at_least(1, term.before) or term.count_at_least(1, term.after)
        ]
        return sorted(
            toxic,
            key=lambda term: (*(-term.count_at_least(grade, term.after) for grade in (3, 2, 1)), term.name, term.term),
        )


def _term_grades(term: str, column: int, grades: ToxicityGrades) -> TermGrades:
    return TermGrades(
        term=term,
        name=_NAMES.get(term, term),
        before=_count(grades.before[:, column]),
        after=_count(grades.after[:, column]),
        after_related=_count(grades.after_related[:, column]),
        ungraded_before=_count_ungraded(grades.before[:, column]),
        ungraded=_count_ungraded(grades.after[:, column]),
    )


def _count(worst: WorstGrades) -> GradeCounts:
    graded: NDArray[np.int8] = worst[worst >= 0]
    counts = np.bincount(graded, minlength=6).tolist()
    return dict(zip(_GRADES, [*counts, len(worst) - len(graded)], strict=True))


def _count_ungraded(worst: WorstGrades) -> int:
    return int(np.count_nonzero(worst == UNGRADED))


def _bar_counts(counts: GradeCounts) -> list[int]:
    """Returns the participants by grade from 0 to 5, and then those who were not assessed."""
    return [counts[name] for name in _GRADES]
