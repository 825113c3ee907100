"""Logs reads of rows about single participants: the route declares them, its handler notes what was read.

    @routes.get("/participants")
    @logs_reads
    async def participants(request: Request, study: StudyIdPath) -> JSONResponse:
        ...
        note_rows(request, study, "participants", len(rows))

The route writes the log after the handler and before the response is sent. If the handler notes nothing, the response
is not sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from shared.security.read_log import ReadAccess, log_read
from shared.web.container import Resources, get_container

C = TypeVar("C", bound=Callable[..., Any])
_OK = 200
_LOGS_READS = "logs_reads"


def logs_reads(endpoint: C) -> C:
    """Declares that the endpoint returns rows about single participants."""
    setattr(endpoint, _LOGS_READS, True)
    return endpoint


def is_read_logged(endpoint: Callable[..., Any]) -> bool:
    """Returns whether the endpoint is declared by `logs_reads`."""
    return getattr(endpoint, _LOGS_READS, False)


def note_rows(
    request: Request, study: str, resource: str, rows: int, *, site: str | None = None, participant: str | None = None
) -> None:
    """Notes what the current response shows. Several notes, of parts of one page, add up their rows."""
    noted: ReadAccess | None = getattr(request.state, "read", None)
    if noted:
        resource, rows = f"{noted.resource}, {resource}", noted.rows + rows
    request.state.read = ReadAccess(study, resource, rows, site, participant)


def note_no_rows(request: Request) -> None:
    """Notes that the current response shows no row about a single participant."""
    request.state.read = getattr(request.state, "read", None)


async def log_rows_of_refusal(request: Request, study: str, resource: str, rows: int) -> None:
    """Logs rows that a refusal shows, which `log_noted_read` does not log."""
    await _log(request, ReadAccess(study, resource, rows, None, None))


async def log_noted_read(request: Request, endpoint: Callable[..., Any], response: Response) -> Response:
    """Returns the response after the read is logged. Refusals show no rows and are not logged."""
    if not is_read_logged(endpoint) or response.status_code != _OK:
        return response
    access: ReadAccess | None = request.state.read
    if access is not None:
        await _log(request, access)
    return response


async def _log(request: Request, access: ReadAccess) -> None:
    address = request.client.host if request.client else ""
    pool = get_container(request).get_resources(Resources).pool
    await log_read(pool, access, request.state.caller.subject, address)
