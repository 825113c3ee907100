"""What reads of single participants answer with, as OpenAPI describes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class FigureName(BaseModel):
    name: str
    title: str
    by: Annotated[list[str], Field(description="by what it can be divided")]


class FigureNames(BaseModel):
    rows: list[FigureName]
    parameters: list[str]


class Lane(BaseModel):
    lane: str
    title: str


class TimelineEntry(BaseModel):
    """`on` is as stated. `from` to `until`: of what lasts its first and last day, else the days it may have been on.
    `day` is the one that figures take it for. Members of the fact itself may follow."""

    model_config = ConfigDict(extra="allow")

    event_id: UUID
    service: str
    type: str
    version: int
    recorded_at: datetime
    on: str | None
    day: date | None
    from_: Annotated[date | None, Field(alias="from")]
    until: date | None
    lasts: bool
    ongoing: bool
    imputed: bool
    corrected: bool
    lane: str
    title: str
    label: str
    detail: list[str]


class TimelineAnswer(BaseModel):
    """Everything that stands of one participant, in clinical order, at a position."""

    study_id: str
    participant_id: str
    site_id: str
    status: str
    position: int
    recorded_at: datetime | None
    today: date
    ends_on: date
    imputed_dates: int
    lanes: list[Lane]
    entries: list[TimelineEntry]


class ParticipantRow(BaseModel):
    """`site_id` is where the participant is now."""

    model_config = ConfigDict(from_attributes=True)

    participant_id: str
    site_id: str
    status: str
    open_queries: int


class ParticipantList(BaseModel):
    """Sorted by number; `next` is what `after` takes for the following page; null on the last."""

    rows: list[ParticipantRow]
    next: str | None
    position: int
    recorded_at: datetime | None
