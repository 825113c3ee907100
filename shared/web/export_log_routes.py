"""Where a feed notes a page of an export, and where an auditor reads the logs of exports and of reads."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from shared.eventstore.study_cache import load_rights
from shared.kernel.errors import Forbidden
from shared.security.read_log import ExportLogEntry, ExportSummary, ReadLogEntry, list_exports, log_export_page
from shared.security.read_log import list_reads as logged_reads
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.read_logging import note_rows
from shared.web.response_models import ExportPage, ReadPage, read_route_options
from shared.web.service import Service

EXPORT_AUDITOR_ROLES = frozenset({"administrator", "investigator", "auditor"})
ExportParameter = Annotated[
    UUID | None, Query(description="id of the export that this read is part of; the log of exports records it")
]


async def log_page(
    request: Request, study: str, export: UUID | None, resource: str, site: str | None, after: str, rows: int
) -> None:
    """Note a page for the log of reads; and, if it is part of an export, for that of exports, before it is answered."""
    note_rows(request, study, resource, rows, site=site)
    if export is not None:
        service: Service = request.app.state.running
        page = ExportLogEntry(export, resource, request.state.caller.subject, service.clock.now(), site, after, rows)
        await log_export_page(service.pool, study, page)


def export_routes(service_name: str) -> APIRouter:
    """`GET …/exports` of a service: by whom, what, when, how much. For administrators, investigators and auditors."""
    routes = create_router(f"/{service_name}/v1/studies/{{study_id}}")

    @routes.get("/exports", name="exports", **read_route_options(ExportPage))
    async def list_exports_of_study(
        request: Request,
        study: StudyIdPath,
        after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JSONResponse:
        """Lists the exports of the study's facts from this service, in the order in which they began."""
        service: Service = request.app.state.running
        rights, _ = await load_rights(service.studies, study, request.state.caller.subject)
        if not rights.has_role_at(None, EXPORT_AUDITOR_ROLES):
            raise Forbidden
        entries = await list_exports(service.pool, study, after=after, limit=limit + 1)
        page, has_more = entries[:limit], len(entries) > limit
        return JSONResponse(
            {"rows": [_export_as_json(each) for each in page], "next": page[-1].position if has_more else None}
        )

    return routes


def read_log_routes(service_name: str) -> APIRouter:
    """`GET …/reads` of a service: every read of rows about single participants. For the same roles as `…/exports`."""
    routes = create_router(f"/{service_name}/v1/studies/{{study_id}}")

    @routes.get("/reads", name="reads", **read_route_options(ReadPage))
    async def list_reads_of_study(
        request: Request,
        study: StudyIdPath,
        after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JSONResponse:
        """Lists the reads of participants' rows in this service, in the order in which they were answered."""
        rights, _ = await load_rights(request.app.state.studies, study, request.state.caller.subject)
        if not rights.has_role_at(None, EXPORT_AUDITOR_ROLES):
            raise Forbidden
        entries = await logged_reads(request.app.state.pool, study, after=after, limit=limit + 1)
        page, has_more = entries[:limit], len(entries) > limit
        return JSONResponse(
            {"rows": [_read_as_json(each) for each in page], "next": page[-1].position if has_more else None}
        )

    return routes


def _read_as_json(entry: ReadLogEntry) -> dict[str, Any]:
    read = entry.read
    return {
        "read_by": entry.read_by,
        "read_at": entry.read_at.isoformat(),
        "address": entry.address,
        "what": read.resource,
        "site_id": read.site_id,
        "participant_id": read.participant_id,
        "rows": read.rows,
    }


def _export_as_json(export: ExportSummary) -> dict[str, Any]:
    return {
        "export_id": str(export.export_id),
        "what": export.resource,
        "exported_by": export.exported_by,
        "site_id": export.site_id,
        "begun_at": export.begun_at.isoformat(),
        "ended_at": export.ended_at.isoformat(),
        "pages": export.pages,
        "rows": export.rows,
    }
