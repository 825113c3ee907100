"""Logs of exports and of reads: a feed records a page of an export, an auditor reads both logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from shared.eventstore.study_cache import load_rights
from shared.security.read_log import (
    ExportLogEntry,
    ExportSummary,
    ReadLogEntry,
    list_exports,
    list_reads,
    log_export_page,
)
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router
from shared.web.read_logging import note_rows
from shared.web.response_models import ExportPage, ExportRow, ReadPage, ReadRow, model_response, read_route_options
from shared.web.service import get_service

LogEntry = TypeVar("LogEntry", ExportSummary, ReadLogEntry)
AfterParameter = Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the page before")]
LimitParameter = Annotated[int, Query(ge=1, le=1000)]
EXPORT_AUDITOR_ROLES = frozenset({"administrator", "investigator", "auditor"})
ExportParameter = Annotated[
    UUID | None, Query(description="id of the export that this read is part of; the log of exports records it")
]


async def log_page(
    request: Request, study: str, export: UUID | None, *, resource: str, site: str | None, after: str, rows: int
) -> None:
    """Notes a page for the log of reads and, if it belongs to an export, records it in the log of exports."""
    note_rows(request, study, resource, rows, site=site)
    if export is not None:
        service = get_service(request)
        entry = ExportLogEntry(
            export_id=export,
            resource=resource,
            exported_by=request.state.caller.subject,
            exported_at=service.clock.now(),
            site_id=site,
            after_row=after,
            rows=rows,
        )
        await log_export_page(service.pool, study, entry)


def export_routes(service_name: str) -> APIRouter:
    """Returns the route `GET …/exports`: the exports of a study, for administrators, investigators and auditors."""
    routes = create_router(f"/{service_name}/v1/studies/{{study_id}}")

    @routes.get("/exports", name="exports", **read_route_options(ExportPage))
    async def list_exports_of_study(
        request: Request, study: StudyIdPath, after: AfterParameter = 0, limit: LimitParameter = 100
    ) -> Response:
        """Lists the exports of the study's facts from this service, in the order in which they began."""
        await _require_auditor(request, study)
        entries = await list_exports(
            get_container(request).get_resources(Resources).pool, study, after=after, limit=limit + 1
        )
        page, next_page = _split_page(entries, limit)
        return model_response(ExportPage(rows=[_export_row(export) for export in page], next=next_page))

    return routes


def read_log_routes(service_name: str) -> APIRouter:
    """Returns the route `GET …/reads`: the reads of rows about single participants, for the roles of `…/exports`."""
    routes = create_router(f"/{service_name}/v1/studies/{{study_id}}")

    @routes.get("/reads", name="reads", **read_route_options(ReadPage))
    async def list_reads_of_study(
        request: Request, study: StudyIdPath, after: AfterParameter = 0, limit: LimitParameter = 100
    ) -> Response:
        """Lists the reads of participants' rows in this service, in the order in which they were answered."""
        await _require_auditor(request, study)
        entries = await list_reads(
            get_container(request).get_resources(Resources).pool, study, after=after, limit=limit + 1
        )
        page, next_page = _split_page(entries, limit)
        return model_response(ReadPage(rows=[_read_row(entry) for entry in page], next=next_page))

    return routes


async def _require_auditor(request: Request, study: str) -> None:
    """Raises NotFound for callers without a grant in the study, Forbidden for those without a role that audits."""
    rights, _ = await load_rights(
        get_container(request).get_resources(Resources).studies, study, request.state.caller.subject
    )
    if not rights.has_role_at(None, EXPORT_AUDITOR_ROLES):
        raise rights.refuse_reading()


def _split_page(entries: Sequence[LogEntry], limit: int) -> tuple[Sequence[LogEntry], int | None]:
    """Returns the first `limit` entries, and the position of the last if there are more."""
    page = entries[:limit]
    return page, page[-1].position if len(entries) > limit else None


def _read_row(entry: ReadLogEntry) -> ReadRow:
    read = entry.read
    return ReadRow(
        read_by=entry.read_by,
        read_at=entry.read_at,
        address=entry.address,
        what=read.resource,
        site_id=read.site_id,
        participant_id=read.participant_id,
        rows=read.rows,
    )


def _export_row(export: ExportSummary) -> ExportRow:
    return ExportRow(
        export_id=export.export_id,
        what=export.resource,
        exported_by=export.exported_by,
        site_id=export.site_id,
        begun_at=export.begun_at,
        ended_at=export.ended_at,
        pages=export.pages,
        rows=export.rows,
    )
