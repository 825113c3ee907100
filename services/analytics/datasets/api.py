"""The data sets of a named data cut over HTTP, as one archive."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.datasets.service import DataSetService
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import file_name
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED

ZIP = "application/zip"
routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class DataSetResources(Resources):
    """The resources of data sets."""

    data_sets: DataSetService


class DataSetParameters(BaseModel):
    """The data cut."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str | None, Field(max_length=80, description="`cut:<name>`, the data cut")] = None


DataSetQuery = Annotated[DataSetParameters, Query()]


@routes.get(
    "/datasets.zip",
    tags=["reading"],
    summary="Data sets of a data cut",
    responses={
        200: {
            "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}},
            "description": "The archive",
            "headers": dict(CONTENT_HEADERS),
        },
        304: NOT_MODIFIED,
        **refusal_responses({403: "The member may not read data sets"}),
    },
    response_class=Response,
)
@logs_reads
async def data_sets(request: Request, study: StudyIdPath, data_set_query: DataSetQuery) -> Response:
    """Returns the participants enrolled by a named data cut, as ADaM-shaped data sets.

    CSV and Dataset-JSON 1.1 with Define-XML 2.1, a data dictionary, and an R script that computes the numbers of the
    figures at the cut from the sets. Investigators, auditors and coordinators of the whole study get all participants,
    staff and coordinators of a site those whom the site follows. Participants who are in no analysis are in no set."""
    service = get_container(request).get_resources(DataSetResources).data_sets
    archive = await service.archive(study, request.state.caller.subject, data_set_query.at)
    note_rows(request, study, "datasets", archive.participants, site=archive.scope.site_id)
    name = file_name([study, "datasets", f"cut-{archive.cut.name}"], archive.cut.position, "zip")
    digest = b64encode(sha256(archive.content).digest()).decode()
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Repr-Digest": f"sha-256=:{digest}:"}
    return Response(archive.content, media_type=ZIP, headers=headers)
