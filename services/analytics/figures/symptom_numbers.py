"""The numbers of symptom relief: shares of those in whom a symptom is present, and the incidence of first relief.

Pure.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.symptom_relief import SymptomCourse
from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidencePlan, incidence_group
from services.analytics.figures.shares import Share
from services.analytics.snapshot.snapshot import Mask

COMPETING = ("death",)
SHARE_MEMBERS = (
    "relieved",
    "relieved_of_assessed",
    "relieved_at_last",
    "worse_at_last",
    "assessed",
    "died_before_contact",
)
"""The shares of a symptom."""


class SymptomRows(BaseModel):
    """A symptom in one group: at baseline, at contacts after it, and the incidence of first relief.

    `present`, `absent`: at baseline; `not_evaluable`: no baseline states it. Shares are of those in whom it is present,
    but for `relieved_of_assessed`. `incidence`: of those with time at risk from the start of the index course, with
    death competing.
    """

    model_config = ConfigDict(frozen=True)

    symptom: str
    present: int
    absent: int
    not_evaluable: int
    assessed: Share = Field(description="with a change at a contact after baseline")
    relieved: Share = Field(description="improved or resolved at any contact")
    relieved_of_assessed: Share = Field(description="the same, of those assessed after baseline")
    relieved_at_last: Share = Field(description="improved or resolved at the last contact that assessed it")
    worse_at_last: Share = Field(description="worse at the last contact that assessed it")
    died_before_contact: Share = Field(description="dead without a contact after baseline")
    incidence: IncidenceGroup

    @classmethod
    def of(cls, course: SymptomCourse, group: Mask, name: str, plan: IncidencePlan) -> Self:
        """Returns the numbers of a group of participants. `name`: that of the group."""

        def count(mask: Mask) -> int:
            return int(np.sum(group & mask))

        present, assessed, relieved = (count(mask) for mask in (course.present, course.assessed, course.relieved))
        is_counted = group[course.times.subjects]
        return cls(
            symptom=course.symptom,
            present=present,
            absent=count(course.absent),
            not_evaluable=count(course.not_evaluable),
            assessed=Share.of_counts(assessed, present),
            relieved=Share.of_counts(relieved, present),
            relieved_of_assessed=Share.of_counts(relieved, assessed),
            relieved_at_last=Share.of_counts(count(course.relieved_at_last), present),
            worse_at_last=Share.of_counts(count(course.worse_at_last), present),
            died_before_contact=Share.of_counts(count(course.died_before_contact), present),
            incidence=incidence_group(name, course.times.observations.select(is_counted), plan),
        )

    def shares(self) -> dict[str, Share]:
        """Returns the shares by their member, in the order in which people read them."""
        return {name: getattr(self, name) for name in SHARE_MEMBERS}


class SymptomGroup(BaseModel):
    """The symptoms of one group of participants; `all` is the group of an undivided figure.

    `not_evaluable`: participants of whom no baseline states any symptom of the table.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    not_evaluable: int
    symptoms: tuple[SymptomRows, ...]
