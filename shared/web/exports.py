"""Where a feed notes a page of an export, and where an auditor reads the logs of exports and of reads."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from shared.eventstore.studies import rights_in
from shared.kernel.refusal import NotYourRole
from shared.security.read_log import Exported, LoggedRead, Page, exports, note_export
from shared.security.read_log import reads as logged_reads
from shared.web.answers import ExportPage, ReadPage, reads
from shared.web.reads import note_rows
from shared.web.routes import StudyOf, router
from shared.web.service import Service

AUDITING = frozenset({"administrator", "investigator", "auditor"})
ExportOf = Annotated[
    UUID | None, Query(description="id of the export that this read is part of; the log of exports records it")
]


async def note_page(
    request: Request, study: str, export: UUID | None, what: str, site: str | None, after: str, rows: int
) -> None:
    """Note a page for the log of reads; and, if it is part of an export, for that of exports, before it is answered."""
    note_rows(request, study, what, rows, site=site)
    if export is not None:
        service: Service = request.app.state.running
        page = Page(export, what, request.state.caller.subject, service.clock.now(), site, after, rows)
        await note_export(service.pool, study, page)


def export_routes(service_name: str) -> APIRouter:
    """`GET …/exports` of a service: by whom, what, when, how much. For administrators, investigators and auditors."""
    routes = router(f"/{service_name}/v1/studies/{{study_id}}")

    @routes.get("/exports", name="exports", **reads(ExportPage))
    async def listed(
        request: Request,
        study: StudyOf,
        after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JSONResponse:
        """Lists the exports of the study's facts from this service, in the order in which they began."""
        service: Service = request.app.state.running
        rights, _ = await rights_in(service.studies, study, request.state.caller.subject)
        if not rights.at(None, AUDITING):
            raise NotYourRole
        found = await exports(service.pool, study, after=after, limit=limit + 1)
        page, more = found[:limit], len(found) > limit
        return JSONResponse({"rows": [_shown(each) for each in page], "next": page[-1].place if more else None})

    return routes


def read_log_routes(service_name: str) -> APIRouter:
    """`GET …/reads` of a service: every read of rows about single participants. For the same roles as `…/exports`."""
    routes = router(f"/{service_name}/v1/studies/{{study_id}}")

    @routes.get("/reads", name="reads", **reads(ReadPage))
    async def listed(
        request: Request,
        study: StudyOf,
        after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JSONResponse:
        """Lists the reads of participants' rows in this service, in the order in which they were answered."""
        rights, _ = await rights_in(request.app.state.studies, study, request.state.caller.subject)
        if not rights.at(None, AUDITING):
            raise NotYourRole
        found = await logged_reads(request.app.state.pool, study, after=after, limit=limit + 1)
        page, more = found[:limit], len(found) > limit
        return JSONResponse({"rows": [_read_shown(each) for each in page], "next": page[-1].place if more else None})

    return routes


def _read_shown(logged: LoggedRead) -> dict[str, Any]:
    read = logged.read
    return {
        "read_by": logged.by, "read_at": logged.at.isoformat(), "address": logged.address, "what": read.what,
        "site_id": read.site_id, "participant_id": read.participant_id, "rows": read.rows,
    }  # fmt: skip


def _shown(export: Exported) -> dict[str, Any]:
    return {
        "export_id": str(export.export_id), "what": export.what, "exported_by": export.by, "site_id": export.site_id,
        "begun_at": export.begun_at.isoformat(), "ended_at": export.ended_at.isoformat(),
        "pages": export.pages, "rows": export.rows,
    }  # fmt: skip
