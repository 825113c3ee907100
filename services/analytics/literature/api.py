"""The literature beside a study, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request, Response

from services.analytics.literature.answers import LiteratureAnswer, literature_table
from services.analytics.literature.service import LiteratureService
from services.analytics.snapshot.as_of_parameters import AsOfQuery
from shared.kernel.errors import NotFound
from shared.ui.csv import to_csv
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED

CSV = "text/csv; charset=utf-8"
routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class LiteratureResources(Resources):
    """The resources of the literature beside a study."""

    literature: LiteratureService


@routes.get(
    "/literature.{kind}",
    tags=["reading"],
    responses={
        200: {
            "model": LiteratureAnswer,
            "content": {CSV: {}},
            "description": "The literature",
            "headers": dict(CONTENT_HEADERS),
        },
        304: NOT_MODIFIED,
        **refusal_responses({410: "The position belongs to an earlier epoch"}),
    },
    response_class=Response,
)
async def literature(request: Request, study: StudyIdPath, kind: str, as_of_query: AsOfQuery) -> Response:
    """Returns the publications beside a study, and the study's own numbers apart from them (.json).

    The table has the publications alone, as they were recorded (.csv). Every member but readers may read them. The own
    numbers are those that the caller may see. No publication is among the numbers of any figure, and none is stored
    with a data cut."""
    if kind not in ("json", "csv"):
        raise NotFound
    service = get_container(request).get_resources(LiteratureResources).literature
    comparison = await service.comparison(study, request.state.caller.subject, as_of_query.to_as_of())
    headers = content_disposition([study, "literature"], comparison.position, kind)
    if kind == "csv":
        return Response(to_csv(*literature_table(comparison)), media_type=CSV, headers=headers)
    content = LiteratureAnswer.from_comparison(comparison).model_dump_json(by_alias=True)
    return Response(content, media_type="application/json", headers=headers)
