"""Columns that several data sets have, and the codes of their values."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from services.analytics.datasets.column import Column

YES_NO = {"Y": "Yes", "N": "No"}
YES = {"Y": "Yes"}
IMPUTED_PARTS = {"D": "Day", "M": "Month and day", "Y": "The whole date: no day is known"}
FLAG_RULE = "The part of {date} that is imputed: 15th of a month, 1 July of a year, clamped by other dates."

StudyId = Annotated[str, Column("Study Identifier", "The id of the study.", source="Assigned")]
ParticipantNumber = Annotated[
    str,
    Column(
        "Unique Subject Identifier",
        "The participant's number, a random pseudonym with a check character.",
        source="Assigned",
        length=11,
    ),
]
Sequence = Annotated[
    int, Column("Analysis Sequence Number", "The number of the record among those of the participant, from 1.")
]
Day = Annotated[date | None, Column("Analysis Date", "The day of the record.", source="Collected")]
DayFlag = Annotated[
    str | None, Column("Analysis Date Imputation Flag", FLAG_RULE.format(date="ADT"), codes=IMPUTED_PARTS)
]
