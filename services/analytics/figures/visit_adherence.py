"""Visit adherence: planned visits whose window has closed, the part that was reported, and the part in the window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS, group_names
from services.analytics.figures.visit_adherence_chart import AdherenceBar, draw_adherence
from services.analytics.snapshot.closed_visits import ClosedVisits, ClosedVisitState
from services.analytics.snapshot.groups import group_dates
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.snapshot.subject_days import count_imputed_dates
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun
from shared.gate.study_timeline import protocol_on

_STATES: tuple[ClosedVisitState, ...] = ("done", "done_late", "not_reported", "not_applicable")


class VisitCounts(BaseModel):
    """Visits whose window closed before the data cut-off, by what became of them.

    `expected`: those that are applicable, which are done, done late or not reported.
    """

    model_config = ConfigDict(frozen=True)

    expected: int
    done: int = Field(description="with a contact within the window")
    done_late: int = Field(description="with a contact after the window, before the next one opened")
    not_reported: int
    not_applicable: int = Field(description="follow-up had ended by the end of the window; not expected")


class NumberedVisitCounts(VisitCounts):
    """The visits of one number: the first of every participant, the second, and so on."""

    number: int


class AdherenceGroup(VisitCounts):
    """The visits of one group of participants; `all` is the group of an undivided figure.

    The shares are in percent of the expected visits, to one decimal; null if there is none.
    """

    name: str
    participants: int = Field(description="participants with an expected visit")
    reported_percent: float | None = Field(description="done and done late")
    in_window_percent: float | None = Field(description="done")
    visits: tuple[NumberedVisitCounts, ...]


class VisitAdherence(Figure):
    """Planned visits whose window closed before the data cut-off, by group and by number.

    Every visit of the plan has its counts, which are 0 until a window of it has closed in somebody of the group.
    A visit is expected unless follow-up had ended by the end of its window. A visit whose window is still open is in no
    number, whether it was reported or not.
    """

    NAME: ClassVar[str] = "visit-adherence"
    TITLE: ClassVar[str] = "Visit adherence"
    EXPLANATION: ClassVar[str] = (
        "The visits of the protocol whose time was over by the data cut-off, by what became of them: done in the "
        "window, done late, or not reported. Visits that do not apply, as after a death, are counted apart."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    TABLES: ClassVar[tuple[str, ...]] = ("visit", "absence")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset(
            {"groups.participants", *(f"groups.visits.{name}" for name in ("expected", *_STATES))},
        ),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"groups.visits.number", *(f"groups.{name}" for name in ("expected", *_STATES))}),
    )

    groups: tuple[AdherenceGroup, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        closed = ClosedVisits.of(snapshot, selection)
        names = selection.group_names(snapshot)[closed.subjects]
        groups, numbers = group_names(snapshot, selection, names), _visit_numbers(snapshot, selection, closed)
        return cls(
            groups=tuple(_group(name, closed, names == name, numbers) for name in groups),
            imputed_dates=closed.imputed_dates
            + count_imputed_dates(group_dates(snapshot, selection.by, selection.cut_number, closed.subjects)),
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts: they are of the whole study, and of its state at the data cut-off."""
        return self

    def caption(self, context: FigureContext) -> str:
        """Returns both shares, with what they are shares of."""
        sentences = [
            "Planned visits whose window closed before the data cut-off, unless follow-up had ended by the end of it.",
            *(_describe_group(group, len(self.groups) > 1) for group in self.groups),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        expected = sum(group.expected for group in self.groups)
        done = sum(group.done for group in self.groups)
        reported = done + sum(group.done_late for group in self.groups)
        of_expected = f"of {count_noun(expected, 'expected visit')}"
        return [
            ("reported", _format_percent(_share(reported, expected)), f"reported, {of_expected}"),
            ("in window", _format_percent(_share(done, expected)), f"in the window, {of_expected}"),
        ]

    def table(self) -> FigureTable:
        """Returns a row for all visits of each group, and one for the visits of each number."""
        header = ["Group", "Visit", "Expected", "In window", "Late", "Not reported", "Not applicable"]
        rows = [
            [group.name, label, *(str(getattr(counts, name)) for name in ("expected", *_STATES)), *_shares(counts)]
            for group in self.groups
            for label, counts in _labeled_counts(group)
        ]
        return [*header, "Reported, percent", "In window, percent"], rows

    def draw(self, context: FigureContext) -> str:
        """Returns a bar for the visits of each number, or of each group of a divided figure."""
        bars = [
            AdherenceBar(label, counts.done, counts.done_late, counts.not_reported)
            for label, counts in (
                [(group.name, group) for group in self.groups]
                if len(self.groups) > 1
                else [(f"Visit {visit.number}", visit) for group in self.groups for visit in group.visits]
            )
        ]
        return draw_adherence(self.NAME, self.TITLE, self.caption(context), bars)


def _visit_numbers(snapshot: StudySnapshot, selection: Selection, closed: ClosedVisits) -> list[int]:
    """Returns the visits of the plan in force on the cut-off, and those of other plans whose window has closed."""
    planned = len(protocol_on(snapshot.study, selection.cut_date).follow_up.windows)
    return sorted({*range(1, planned + 1), *np.unique(closed.visits["number"]).tolist()})


def _group(name: str, closed: ClosedVisits, mask: Mask, numbers: Sequence[int]) -> AdherenceGroup:
    counts = {state: int(np.sum(mask & closed.states[state])) for state in _STATES}
    expected = sum(counts.values()) - counts["not_applicable"]
    is_expected = mask & ~closed.states["not_applicable"]
    return AdherenceGroup(
        name=name,
        participants=len(np.unique(closed.subjects[is_expected])),
        expected=expected,
        **counts,
        reported_percent=_share(counts["done"] + counts["done_late"], expected),
        in_window_percent=_share(counts["done"], expected),
        visits=tuple(_count_by_number(closed, mask, numbers)),
    )


def _count_by_number(closed: ClosedVisits, mask: Mask, numbers: Sequence[int]) -> Iterator[NumberedVisitCounts]:
    stated, length = closed.visits["number"], max(numbers, default=0) + 1
    by_state = {state: np.bincount(stated[mask & closed.states[state]], minlength=length) for state in _STATES}
    for number in numbers:
        counts = {state: int(counted[number]) for state, counted in by_state.items()}
        expected = sum(counts.values()) - counts["not_applicable"]
        yield NumberedVisitCounts(number=number, expected=expected, **counts)


def _labeled_counts(group: AdherenceGroup) -> Iterator[tuple[str, VisitCounts]]:
    yield "all", group
    yield from ((str(visit.number), visit) for visit in group.visits)


def _share(count: int, expected: int) -> float | None:
    return percent(count / expected) if expected else None


def _shares(counts: VisitCounts) -> list[str]:
    shares = (_share(counts.done + counts.done_late, counts.expected), _share(counts.done, counts.expected))
    return ["" if share is None else f"{share:.1f}" for share in shares]


def _format_percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1f} %"


def _describe_group(group: AdherenceGroup, is_divided: bool) -> str:
    beginning = f"{group.name}: " if is_divided else ""
    if not group.expected:
        return f"{beginning}no visit was expected."
    reported = group.done + group.done_late
    return (
        f"{beginning}{count_noun(group.expected, 'visit')} of {count_noun(group.participants, 'participant')}: "
        f"{reported} reported ({_format_percent(group.reported_percent)}), {group.done} within the window "
        f"({_format_percent(group.in_window_percent)})."
    )
