"""Search for a participant of the caller's own site by the site's local reference."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from shared.eventstore.store import StreamHead
from shared.kernel.errors import Forbidden, NotFound
from shared.kernel.fact import FactPart
from shared.kernel.schema_name import build_model
from shared.kernel.sealed_text import MAX_TEXT_CHARACTERS
from shared.postgres.tenancy import Tenant
from shared.security.grants import Rights
from shared.web.entitlement import STUDY_ID, require_entitlement
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.read_access import describe_participant, load_caller_rights
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import FoundParticipants, model_response
from shared.web.service import get_service


@build_model
class Search(FactPart):
    """The site's own number of a participant. It is in the body because addresses are logged."""

    local_reference: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]


async def require_site_staff(request: Request) -> None:
    """Raises Forbidden for callers who are not staff of any site."""
    study = request.path_params["study_id"]
    if not STUDY_ID.fullmatch(study):
        raise NotFound
    rights, _ = await load_caller_rights(request, study)
    own_sites(rights)


@require_entitlement(require_site_staff)
@logs_reads
async def search(request: Request, study: StudyIdPath, body: Search) -> Response:
    """Finds a participant of your own site by the site's own number. Case and blanks make no difference.

    The log of reads records the search."""
    rows = await find_by_reference(request, study, body.local_reference)
    note_rows(request, study, "search", len(rows))
    matches = [describe_participant(number, head) for number, head in rows]
    return model_response(FoundParticipants(rows=matches))


async def find_by_reference(request: Request, study: str, local_reference: str) -> list[tuple[str, StreamHead]]:
    """Returns the participants of the caller's sites that have the number, at most two of each site.

    Raises Forbidden for callers who are not staff of any site.
    """
    rights, _ = await load_caller_rights(request, study)
    service = get_service(request)
    rows: list[tuple[str, StreamHead]] = []
    for site in own_sites(rights):
        key = service.vault.blind_index(study, site, local_reference)
        async with service.store.unit(Tenant(study, site)) as unit:
            rows += await unit.list_streams(site=None, status=None, search_key=key, after="", limit=2)
    return sorted(rows, key=lambda row: row[0])


def own_sites(rights: Rights) -> list[str]:
    """Returns the sites whose references the member may search. Raises Forbidden if there are none."""
    site_ids = sorted(grant.site_id for grant in rights.grants if grant.site_id and rights.is_site_staff(grant.site_id))
    if not site_ids:
        raise Forbidden(
            "You are at no site of this study. Only a site's staff and coordinators search its own references."
        )
    return list(dict.fromkeys(site_ids))


def search_routes(service: str) -> APIRouter:
    """Returns the route `POST …/participants/search`, for the service that registers participants."""
    routes = create_router(f"/{service}/v1/studies/{{study_id}}")
    routes.post("/participants/search", response_model=FoundParticipants, tags=["reading"])(search)
    return routes
