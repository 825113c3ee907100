"""Proportions of participants with exact intervals, and the groups of a figure that is a table of them. Pure."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from services.analytics.figures.group_names import standing_groups
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.proportions import clopper_pearson, percent

SHARE_HEADINGS = ("Participants", "Of", "Percent", "Lower limit, percent", "Upper limit, percent")


class Share(BaseModel):
    """Participants of a number of participants, as a proportion with its exact 95 % interval (Clopper and Pearson).

    Of nobody the three are null: not defined, and so not 0.
    """

    model_config = ConfigDict(frozen=True)

    participants: int
    of: int = Field(description="the participants of whom it is known")
    estimate: float | None
    lower: float | None
    upper: float | None

    @classmethod
    def of_counts(cls, participants: int, of: int, **members: object) -> Self:
        """Returns a share; `members`: those that a subclass has beside. Raises ValueError for more than all."""
        lower, upper = clopper_pearson(participants, of) if of else (None, None)
        estimate = participants / of if of else None
        return cls.model_validate(
            {"participants": participants, "of": of, "estimate": estimate, "lower": lower, "upper": upper, **members}
        )

    def cells(self) -> list[str]:
        """Returns the cells of a table below `SHARE_HEADINGS`; percents to one decimal."""
        values = (self.estimate, self.lower, self.upper)
        return [
            str(self.participants),
            str(self.of),
            *("" if value is None else f"{percent(value):.1f}" for value in values),
        ]

    def in_words(self) -> str:
        """Returns `4 / 31 = 12.9 % (95 % CI 3.6–29.8)`."""
        if self.estimate is None or self.lower is None or self.upper is None:
            return "not defined (no participants)"
        limits = f"{percent(self.lower):.1f}–{percent(self.upper):.1f}"
        return f"{self.participants} / {self.of} = {percent(self.estimate):.1f} % (95 % CI {limits})"


SHARE_COUNTS = ("participants", "of")
"""The whole numbers of a share, which count participants."""


def share_counts(*paths: str) -> frozenset[str]:
    """Returns the paths of the counts of the shares at these paths in a result."""
    return frozenset(f"{path}.{count}" for path in paths for count in SHARE_COUNTS)


def divide_mask(snapshot: StudySnapshot, selection: Selection, counted: Mask) -> dict[str, Mask]:
    """Returns the counted participants by group, those groups without anybody too; all in `all` if undivided."""
    names = selection.group_names(snapshot)
    groups = set(names[counted].tolist()) | standing_groups(snapshot, selection)
    return {group: counted & (names == group) for group in sorted(groups)}
