"""The position of a study, over HTTP, and the dependency that gives endpoints the study reader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from pydantic import BaseModel

from services.analytics.snapshot.study_reader import StudyReader
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.response_models import read_route_options

routes = create_router("/analytics/v1/studies/{study_id}")


class Position(BaseModel):
    """Number of facts of a study that analytics has applied. `epoch` changes when the count begins anew."""

    position: int
    epoch: str
    recorded_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class StudyResources(Resources):
    """The resources that read studies. `pool` sees what one tenant may see, `system_pool` all studies."""

    system_pool: asyncpg.Pool[Any]
    studies: ReplicatedStudies
    reader: StudyReader


async def get_study_reader(request: Request) -> StudyReader:
    return get_container(request).get_resources(StudyResources).reader


StudyReaderDep = Annotated[StudyReader, Depends(get_study_reader)]


@routes.get("/position", **read_route_options(Position))
async def position(request: Request, study: StudyIdPath, reader: StudyReaderDep) -> Position:
    """Returns the position of the study, and when the last applied fact was recorded.

    Readers get the position of the last data cut, and when it was recorded.
    """
    current = await reader.visible_position(study, request.state.caller.subject)
    return Position(position=current.position, epoch=current.epoch, recorded_at=current.recorded_at)
