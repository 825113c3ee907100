"""The differences between two positions of a study: facts, participants in analyses, and headline numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import numpy as np

from services.analytics.figures.page_content import PageContent
from services.analytics.snapshot.columns import ParticipantIds
from services.analytics.snapshot.snapshot import StudySnapshot

ChangeKind = Literal["added", "corrected", "voided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactDifference:
    """A fact whose content has changed. `participant_id`: None for a fact of the study. `site_id`: that stated it."""

    change: ChangeKind
    position: int
    service: str
    type: str
    participant_id: str | None
    site_id: str | None
    event_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberDifference:
    """A headline number before and after; None where the figure did not have it."""

    figure: str
    title: str
    name: str
    words: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPosition:
    """A state of the study that is compared. `cut_date`: the data cut-off of its numbers; None if there are none."""

    position: int
    recorded_at: datetime | None
    cut_date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes of a study since an earlier position, as far as one member may see them.

    `since`: as it was asked for. `participants_in`: who is screened and in analyses, and was not then.
    `participants_out`: who was then, and is not any more. Both are of the participants whom the numbers count: those
    of a sealed data cut have everybody who was in it, those of a position nobody who has left analyses since.
    """

    study_id: str
    since: str
    before: ComparedPosition
    after: ComparedPosition
    facts: Sequence[FactDifference]
    participants_in: Sequence[str]
    participants_out: Sequence[str]
    numbers: Sequence[NumberDifference]

    def count_facts(self, change: ChangeKind) -> int:
        return sum(fact.change == change for fact in self.facts)


def compare_participants(before: StudySnapshot, after: StudySnapshot) -> tuple[list[str], list[str]]:
    """Returns the participants who came into analyses, and those who left them, sorted."""
    earlier, later = _counted_participants(before), _counted_participants(after)
    came, left = np.setdiff1d(later, earlier), np.setdiff1d(earlier, later)
    return [name.decode() for name in came.tolist()], [name.decode() for name in left.tolist()]


def _counted_participants(snapshot: StudySnapshot) -> ParticipantIds:
    subjects = snapshot.subjects
    ids: ParticipantIds = subjects["participant_id"][subjects["is_screened"] & ~subjects["is_excluded"]]
    return ids


def compare_numbers(before: Mapping[str, PageContent], after: Mapping[str, PageContent]) -> list[NumberDifference]:
    """Returns every headline number of figures by name, those of `after` first, changed or not."""
    return [
        _number_difference(figure, name, before.get(figure), after.get(figure))
        for figure in dict.fromkeys((*after, *before))
        for name in dict.fromkeys(
            name for content in (after.get(figure), before.get(figure)) if content for name, _, _ in content.headline
        )
    ]


def _number_difference(
    figure: str, name: str, before: PageContent | None, after: PageContent | None
) -> NumberDifference:
    earlier, later = _headline_number(before, name), _headline_number(after, name)
    newest, content = later or earlier, after or before
    return NumberDifference(
        figure=figure,
        title=content.title if content else "",
        name=name,
        words=newest[2] if newest else "",
        before=earlier[1] if earlier else None,
        after=later[1] if later else None,
    )


def _headline_number(content: PageContent | None, name: str) -> tuple[str, str, str] | None:
    return next((number for number in content.headline if number[0] == name), None) if content else None
