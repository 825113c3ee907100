"""Problem documents (RFC 9457): the one place that makes them. They never contain patient data."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from shared.kernel.errors import (
    MAX_FAULTS,
    Fault,
    FormRejected,
    InternalError,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    RequestError,
    ServiceUnavailable,
    Unauthenticated,
)
from shared.kernel.objection import ProblemType
from shared.kernel.schema_name import NamedSchema
from shared.postgres.errors import UNAVAILABLE
from shared.validation.validation_messages import schema_faults

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_LOGGED_FRAMES = 8
MORE_FAULTS_TYPE = ProblemType("more-faults", "The last entry of `errors`: there are more faults than an answer lists.")
MORE_FAULTS = Fault(
    MORE_FAULTS_TYPE.code, f"There are more faults than these {MAX_FAULTS}. Correct these, then send the request again."
)


class FaultModel(NamedSchema, schema_name="FaultShown"):
    model_config = ConfigDict(title="Fault")
    code: str
    message: str
    pointer: str
    because_of: str | None = None


class ProblemModel(BaseModel):
    """A problem document (RFC 9457). `errors` lists everything that is wrong, with JSON pointers into the body. It
    has at least one entry."""

    model_config = ConfigDict(title="Problem")
    type: str
    title: str
    status: int
    errors: Annotated[list[FaultModel], Field(min_length=1)]


def problem_response(
    status: int, code: str, title: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """Returns a response with a problem document; without `faults`, its one error is `code` with `title`."""
    document = problem_document(status, code, title, faults)
    return JSONResponse(document, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_document(status: int, code: str, title: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """Returns a problem document with the first MAX_FAULTS faults; a last entry says that there are more."""
    first_faults = list(islice(faults, MAX_FAULTS + 1))
    listed_faults = [*first_faults[:MAX_FAULTS], MORE_FAULTS] if len(first_faults) > MAX_FAULTS else first_faults
    entries = [
        {"code": fault.code, "message": fault.message, "pointer": fault.pointer}
        | ({"because_of": fault.because_of} if fault.because_of else {})
        for fault in listed_faults or [Fault(code, title)]
    ]
    return {"type": f"/problems/{code}", "title": title, "status": status, "errors": entries}


def refusal_response(refusal: RequestError) -> Response:
    """Returns the response to an error of the kernel's tree, with Retry-After or a challenge where it has one."""
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    if isinstance(refusal, Unauthenticated):
        headers["WWW-Authenticate"] = _challenge(refusal.reason)
    return problem_response(refusal.status, refusal.code, refusal.title, refusal.faults, headers)


def _challenge(reason: str) -> str:
    """Returns the value of WWW-Authenticate (RFC 6750, section 3): without an error if no token was sent."""
    return f'Bearer error="invalid_token", error_description="{reason}"' if reason else "Bearer"


def install_problems(app: FastAPI) -> None:
    """Makes every refusal of the app, FastAPI's own too, a problem document."""

    @app.exception_handler(RequestError)
    async def handle_refusal(_: Request, refusal: RequestError) -> Response:
        return refusal_response(refusal)

    @app.exception_handler(RequestValidationError)
    async def handle_validation_error(_: Request, error: RequestValidationError) -> Response:
        return refusal_response(FormRejected(faults=schema_faults(error.errors()[: MAX_FAULTS + 1], None, ())))

    @app.exception_handler(HTTPException)
    async def handle_http_exception(request: Request, error: HTTPException) -> Response:
        if error.status_code == MethodNotAllowed.status:
            return _refuse_method(request)
        problem = NotFound if error.status_code == NotFound.status else RequestError
        return problem_response(error.status_code, problem.code, problem.title)

    for error_type in UNAVAILABLE:
        app.add_exception_handler(error_type, _handle_unavailable)


def _refuse_method(request: Request) -> Response:
    """Answers OPTIONS with the methods of the address; refuses other methods that it does not have."""
    headers = {"Allow": ", ".join(sorted(allowed_methods(request)))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    refusal = MethodNotAllowed()
    return problem_response(refusal.status, refusal.code, refusal.title, headers=headers)


def allowed_methods(request: Request) -> set[str]:
    """Returns the methods of the address. HEAD is answered where GET is, OPTIONS everywhere."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def internal_error(error: Exception) -> Response:
    """Returns the response to an unexpected error. Logs its type and location, but no text, which may quote input."""
    if isinstance(error, ClientDisconnect):
        return refusal_response(MalformedBody("The body ended too soon. Send the request again."))
    frames = traceback.extract_tb(error.__traceback__)[-_LOGGED_FRAMES:]
    call_path = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("unforeseen error %s at %s", type(error).__name__, call_path)
    return refusal_response(InternalError())


async def _handle_unavailable(_: Request, error: Exception) -> Response:
    log.warning("the database does not answer: %s", type(error).__name__)
    return refusal_response(
        ServiceUnavailable("The database does not answer at present. Send the request again in a moment.")
    )
