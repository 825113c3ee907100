"""Causes of death: how many enrolled participants have died, and of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.causes_of_death import CauseOfDeath, CountedDeaths, deaths_by_cause
from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import DIVISIONS
from services.analytics.figures.share_chart import ShareRow, ShareSection, draw_shares
from services.analytics.figures.shares import SHARE_HEADINGS, Share, divide_mask, share_counts
from services.analytics.figures.survival_numbers import Definition
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.wording.phrasing import count_noun, join_words

_CAUSES: Mapping[CauseOfDeath, str] = {
    "tumour": "Disease under study",
    "treatment": "Its treatment",
    "other": "Other cause",
    "unknown": "Unknown cause",
}
_NOTES: Mapping[str, str] = {
    "presumed": "presumed",
    "undated": "without a date",
    "after_withdrawal": "after the withdrawal of consent",
}
"""Deaths that are uncertain or that survival figures do not count, by their member."""


class CauseShare(Share):
    """The deaths of one cause, of all deaths."""

    cause: CauseOfDeath


class DeathsGroup(BaseModel):
    """The deaths of one group of participants; `all` is the group of an undivided figure."""

    model_config = ConfigDict(frozen=True)

    name: str
    died: Share = Field(description="of the enrolled participants")
    causes: tuple[CauseShare, ...] = Field(description="each of the deaths")
    presumed: int = Field(description="deaths that are not confirmed")
    undated: int = Field(description="deaths whose day is not known; no survival figure counts them as events")
    after_withdrawal: int = Field(description="deaths after the withdrawal of consent")


class CausesOfDeath(Figure):
    """Deaths of enrolled participants by the data cut-off, as shares of the participants, and by cause.

    The deaths are those of the participant flow: also those without a date, and after a withdrawal of consent.
    """

    NAME: ClassVar[str] = "causes-of-death"
    TITLE: ClassVar[str] = "Causes of death"
    EXPLANATION: ClassVar[str] = (
        "The deaths of enrolled participants by the data cut-off, by their cause as it was recorded. Deaths "
        "without a date count."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = DIVISIONS
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset(f"groups.{name}" for name in _NOTES) | share_counts("groups.died", "groups.causes"),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"definition.version"}),
    )

    definition: Definition
    groups: tuple[DeathsGroup, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        rows = EnrolledRows(snapshot, selection)
        deaths = deaths_by_cause(rows)
        groups = divide_mask(snapshot, selection, rows.counted)
        return cls(
            definition=Definition(id=cls.NAME, version=1),
            groups=tuple(_group(name, mask, deaths) for name, mask in groups.items()),
            imputed_dates=deaths.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts: they are of the whole study, and of its state at the data cut-off."""
        return self

    def caption(self, context: FigureContext) -> str:
        """Returns the deaths and their causes as n / N with the exact interval, and what is uncertain."""
        sentences = [
            "Deaths of enrolled participants by the data cut-off.",
            *(sentence for group in self.groups for sentence in _describe(group, is_divided=len(self.groups) > 1)),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        died, enrolled = (sum(getattr(group.died, name) for group in self.groups) for name in ("participants", "of"))
        return [("died", str(died), f"died, of {count_noun(enrolled, 'enrolled participant')}")]

    def table(self) -> FigureTable:
        """Returns a row for the deaths of each group, for each cause, and for deaths that are uncertain."""
        rows = [[group.name, *cells] for group in self.groups for cells in _cells(group)]
        return ["Group", "Deaths", *SHARE_HEADINGS], rows

    def draw(self, context: FigureContext) -> str:
        """Returns the shares as points with their intervals."""
        causes = (
            ShareRow(_CAUSES[shares[0].cause], shares)
            for shares in zip(*(group.causes for group in self.groups), strict=True)
        )
        sections = [
            ShareSection("Of the enrolled participants", rows=(ShareRow("Died", tuple(self._died())),)),
            ShareSection("Of the deaths", rows=tuple(causes)),
        ]
        names = [group.name for group in self.groups]
        return draw_shares(self.NAME, self.TITLE, self.caption(context), names, sections)

    def _died(self) -> Iterator[Share]:
        return (group.died for group in self.groups)


def _group(name: str, mask: Mask, deaths: CountedDeaths) -> DeathsGroup:
    died = _count(mask & deaths.died)
    return DeathsGroup(
        name=name,
        died=Share.of_counts(died, _count(mask)),
        causes=tuple(
            CauseShare.of_counts(_count(mask & of_cause), died, cause=cause)
            for cause, of_cause in deaths.causes.items()
        ),
        presumed=_count(mask & deaths.presumed),
        undated=_count(mask & deaths.undated),
        after_withdrawal=_count(mask & deaths.after_withdrawal),
    )


def _count(mask: Mask) -> int:
    return int(np.sum(mask))


def _describe(group: DeathsGroup, *, is_divided: bool) -> Iterator[str]:
    beginning = f"{group.name}: died" if is_divided else "Died"
    yield f"{beginning} {group.died.in_words()}."
    if group.died.participants:
        causes = [f"{_CAUSES[share.cause].lower()} {share.in_words()}" for share in group.causes]
        yield f"Causes: {'; '.join(causes)}."
    notes = [f"{count} {words}" for name, words in _NOTES.items() if (count := getattr(group, name))]
    if notes:
        yield f"Of the deaths, {join_words(notes)}."


def _cells(group: DeathsGroup) -> Iterator[list[str]]:
    yield ["Died, of the enrolled", *group.died.cells()]
    for share in group.causes:
        yield [f"{_CAUSES[share.cause]}, of the deaths", *share.cells()]
    for name, words in _NOTES.items():
        yield [f"Deaths {words}", str(getattr(group, name)), str(group.died.participants), "", "", ""]
