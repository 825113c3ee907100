"""The changes of a study since a data cut or a position, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.cuts.answers import ChangesAnswer, changes_table
from services.analytics.cuts.service import ChangeService
from shared.kernel.errors import NotFound
from shared.kernel.patterns import explain_pattern
from shared.ui.csv import to_csv
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED

_SINCE_PATTERN = explain_pattern(
    r"^([0-9]{1,15}|cut:[A-Za-z0-9][A-Za-z0-9_.:-]{0,63})$", "Give a position, or cut:<name> of a data cut."
)
CSV = "text/csv; charset=utf-8"
routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class ChangeResources(Resources):
    """The resources of the changes of a study."""

    changes: ChangeService


class ChangeParameters(BaseModel):
    """The earlier state that the newest one is compared with."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[str, Field(pattern=_SINCE_PATTERN, description="a position, or `cut:<name>` of a data cut")]


ChangeQuery = Annotated[ChangeParameters, Query()]


@routes.get(
    "/changes.{kind}",
    tags=["reading"],
    responses={
        200: {
            "model": ChangesAnswer,
            "content": {CSV: {}},
            "description": "The changes",
            "headers": dict(CONTENT_HEADERS),
        },
        304: NOT_MODIFIED,
    },
    response_class=Response,
)
@logs_reads
async def changes(request: Request, study: StudyIdPath, kind: str, change_query: ChangeQuery) -> Response:
    """Returns what has changed since a data cut or a position (.json), or the same as one table (.csv).

    Facts that were added, corrected or voided, participants who came into analyses or left them, and the headline
    numbers of every figure before and after. A fact that was recorded and voided in between is not listed, nor are
    those of participants who are in no analysis. Numbers at a sealed data cut are those that were sealed."""
    if kind not in ("json", "csv"):
        raise NotFound
    service = get_container(request).get_resources(ChangeResources).changes
    study_changes = await service.changes(study, request.state.caller.subject, change_query.since)
    note_rows(
        request,
        study,
        "changes",
        len(study_changes.facts) + len(study_changes.participants_in) + len(study_changes.participants_out),
    )
    headers = content_disposition(
        [study, "changes", f"since-{study_changes.since}"], study_changes.after.position, kind
    )
    if kind == "csv":
        return Response(to_csv(*changes_table(study_changes)), media_type=CSV, headers=headers)
    content = ChangesAnswer.from_changes(study_changes).model_dump_json(by_alias=True)
    return Response(content, media_type="application/json", headers=headers)
