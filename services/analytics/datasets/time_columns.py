"""Columns of the time-to-event sets."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import FLAG_RULE, IMPUTED_PARTS
from services.analytics.datasets.endpoint_times import CENSORING

StartDate = Annotated[date | None, Column("Time-to-Event Origin Date", "Time 0 of the parameter.")]
StartFlag = Annotated[
    str | None, Column("Origin Date Imputation Flag", FLAG_RULE.format(date="STARTDT"), codes=IMPUTED_PARTS)
]
ExitDate = Annotated[date | None, Column("Analysis Date", "The day of the event or of censoring.")]
ExitFlag = Annotated[
    str | None, Column("Analysis Date Imputation Flag", FLAG_RULE.format(date="ADT"), codes=IMPUTED_PARTS)
]
Analysis = Annotated[int, Column("Analysis Value", "ADT - STARTDT + 1. Figures and pages show AVAL - 1.")]
Units = Annotated[str, Column("Analysis Value Unit", "Days.", codes={"DAYS": "Days"}, source="Assigned")]
Entry = Annotated[
    int,
    Column(
        "Day of Entry into the Risk Set",
        "0 if at risk from the origin; else the day of delayed entry - STARTDT + 1, after which time is at risk.",
    ),
]
CensoringCode = Annotated[
    int,
    Column("Censor", "0 for an event, 9 for a competing one, else the reason of censoring. Never 1 - CNSR.", CENSORING),
]
EventCode = Annotated[
    int,
    Column("Event Code", "0 censored, 1 the event of the parameter (FF: its sites from 1 on), above it what competes."),
]
EventWords = Annotated[str, Column("Event or Censoring Description", "The event, or the reason of censoring.")]
CensoringDate = Annotated[
    str | None,
    Column("Censor Date Description", "What ADT is, where it is not the day of EVNTDESC."),
]
SourceDomain = Annotated[str | None, Column("Source Data", "The set that has ADT; empty for the cut-off.", length=8)]
SourceVariable = Annotated[str | None, Column("Source Variable", "The column of SRCDOM that has ADT.", length=8)]
SourceSequence = Annotated[
    int | None, Column("Source Sequence Number", "ASEQ in SRCDOM of the first record of that day, of ADRS and ADAE.")
]
