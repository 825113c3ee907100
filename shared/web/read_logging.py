"""Reads of rows about single participants are logged: the route says that it is one, its handler what was read.

    @routes.get("/participants")
    @logs_reads
    async def participants(request: Request, study: StudyOf) -> JSONResponse:
        ...
        note_rows(request, study, "participants", len(rows))

The log is written by the route itself, after the handler and before the answer is sent. An answer of such a route that
nothing was noted for is not sent.
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


def logs_reads(endpoint: C) -> C:
    """Declare that the endpoint answers with rows about single participants."""
    endpoint.logs_reads = True  # type: ignore[attr-defined] # read by the route that is made of the function
    return endpoint


def is_read_logged(endpoint: Callable[..., Any]) -> bool:
    return getattr(endpoint, "logs_reads", False)


def note_rows(
    request: Request, study: str, resource: str, rows: int, *, site: str | None = None, participant: str | None = None
) -> None:
    """Say what the answer under way shows; of several parts of one page the rows are added up."""
    noted: ReadAccess | None = getattr(request.state, "read", None)
    if noted:
        resource, rows = f"{noted.resource}, {resource}", noted.rows + rows
    request.state.read = ReadAccess(study, resource, rows, site, participant)


def note_no_rows(request: Request) -> None:
    """Say that the answer under way shows no single participant."""
    request.state.read = getattr(request.state, "read", None)


async def log_noted_read(request: Request, endpoint: Callable[..., Any], response: Response) -> Response:
    """Return the answer once the read is in the log. What is refused shows no rows."""
    if not is_read_logged(endpoint) or response.status_code != _OK:
        return response
    access: ReadAccess | None = request.state.read
    if access is not None:
        address = request.client.host if request.client else ""
        await log_read(get_container(request).opened(Resources).pool, access, request.state.caller.subject, address)
    return response
