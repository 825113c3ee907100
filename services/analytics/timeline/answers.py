"""The response model of a timeline, as OpenAPI describes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Lane(BaseModel):
    lane: str
    title: str


class TimelineEntry(BaseModel):
    """One fact on the timeline. `on` is its date as recorded, and `day` the day that figures use for it.

    `from` and `until` are the first and last day of something that lasts, and otherwise the earliest and latest day
    that a partial date can mean. Members of the fact itself may follow."""

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
    """All current facts of one participant at a position, in clinical order."""

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
