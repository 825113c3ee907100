"""The position of a study, over HTTP, and the dependency that gives endpoints the study reader."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel

from services.analytics.snapshot.study_reader import StudyReader
from shared.web.fact_routes import StudyIdPath, create_router
from shared.web.response_models import read_route_options

routes = create_router("/analytics/v1/studies/{study_id}")


class Position(BaseModel):
    """Number of facts of a study that analytics has applied. `epoch` changes when the count begins anew."""

    position: int
    epoch: str
    recorded_at: datetime | None


async def get_study_reader(request: Request) -> StudyReader:
    reader: StudyReader = request.app.state.reader
    return reader


StudyReaderDep = Annotated[StudyReader, Depends(get_study_reader)]


@routes.get("/position", **read_route_options(Position))
async def position(request: Request, study: StudyIdPath, reader: StudyReaderDep) -> Position:
    """Returns the position of the study, and when the last applied fact was recorded."""
    current = await reader.current_position(study, request.state.caller.subject)
    return Position(position=current.position, epoch=current.epoch, recorded_at=current.recorded_at)
