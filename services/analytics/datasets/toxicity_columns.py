"""Columns of the sets of toxicity."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import FLAG_RULE, IMPUTED_PARTS

_RELATIONS: Mapping[str, str] = {"related": "Y", "unrelated": "N", "not_stated": "U"}

TermId = Annotated[str, Column("Term", "The id of the term in the dictionary: version and number.", source="Collected")]
Grade = Annotated[
    int | None, Column("Analysis Toxicity Grade (N)", "The grade; empty if it was not graded.", source="Collected")
]
TimePoint = Annotated[
    str | None,
    Column(
        "Time Point",
        "As stated.",
        codes={
            "baseline": "Baseline",
            "during_rt": "During radiotherapy",
            "end_of_rt": "End of radiotherapy",
            "follow_up": "Follow-up",
        },
        source="Collected",
    ),
]
Relation = Annotated[
    str | None,
    Column(
        "Related to Radiotherapy",
        "Y: at least possibly, to a course begun by then. N: attributed to something else. U: no attribution at all, "
        "which figures count as related.",
        codes={"Y": "Related", "N": "Not related", "U": "Not stated"},
    ),
]
Onset = Annotated[
    date | None,
    Column(
        "Analysis Start Date",
        "The onset, if it lies after every earlier assessment that shows the term as less than severe; else the day of "
        "the assessment. Of a serious event the onset.",
    ),
]
OnsetFlag = Annotated[
    str | None, Column("Analysis Start Date Imputation Flag", FLAG_RULE.format(date="ASTDT"), codes=IMPUTED_PARTS)
]


def relation_of(relation: str) -> str | None:
    """Returns the code of a relation to radiotherapy."""
    return _RELATIONS.get(relation)
