"""Every refusal leaves as an RFC 9457 problem document, made in this one place, and never with patient data in it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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

from shared.kernel.errors import MAX_FAULTS, Fault, NotFound, RequestError, ServiceUnavailable, Unauthenticated
from shared.kernel.schema_name import NamedSchema
from shared.postgres.errors import UNAVAILABLE
from shared.web.name_suggestions import unknown_name_message
from shared.web.validation_messages import validation_message

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_LOGGED_FRAMES = 8
DeclaredMembers = Callable[..., Collection[str]]
FORM_TITLE = "The request does not have the required form. `errors` says what is wrong, and where."
MORE_FAULTS = Fault(
    "more-faults", f"There are more faults than these {MAX_FAULTS}. Correct these, then send the request again."
)
_CODE_BY_STATUS = {404: "not-found"}


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
    document = problem_document(status, code, title, faults)
    return JSONResponse(document, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_document(status: int, code: str, title: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """List the first MOST_FAULTS faults; a last entry says that there are more."""
    first_faults = list(islice(faults, MAX_FAULTS + 1))
    listed_faults = [*first_faults[:MAX_FAULTS], MORE_FAULTS] if len(first_faults) > MAX_FAULTS else first_faults
    entries = [
        {"code": fault.code, "message": fault.message, "pointer": fault.pointer}
        | ({"because_of": fault.because_of} if fault.because_of else {})
        for fault in listed_faults or [Fault(code, title)]
    ]
    return {"type": f"/problems/{code}", "title": title, "status": status, "errors": entries}


def refusal_response(refusal: RequestError) -> Response:
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    if isinstance(refusal, Unauthenticated):
        headers["WWW-Authenticate"] = _challenge(refusal.reason)
    return problem_response(refusal.status, refusal.code, refusal.title, refusal.faults, headers)


def _challenge(reason: str) -> str:
    """As RFC 6750, 3 has it: no error where no token was sent."""
    return f'Bearer error="invalid_token", error_description="{reason}"' if reason else "Bearer"


def install_problems(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def handle_refusal(_: Request, refusal: RequestError) -> Response:
        return refusal_response(refusal)

    @app.exception_handler(RequestValidationError)
    async def handle_validation_error(_: Request, error: RequestValidationError) -> Response:
        return problem_response(422, "schema", FORM_TITLE, schema_faults(error.errors()[: MAX_FAULTS + 1], None, ()))

    @app.exception_handler(HTTPException)
    async def handle_http_exception(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            return _method_not_allowed(request)
        code = _CODE_BY_STATUS.get(error.status_code, "refused")
        titles = {404: NotFound.title}
        return problem_response(error.status_code, code, titles.get(error.status_code, "The request was refused."))

    for error_type in UNAVAILABLE:
        app.add_exception_handler(error_type, _handle_unavailable)


def _method_not_allowed(request: Request) -> Response:
    """Answer OPTIONS with the methods that the address has; refuse any other that it has not."""
    headers = {"Allow": ", ".join(sorted(allowed_methods(request)))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    return problem_response(
        405,
        "method-not-allowed",
        "This address does not have that method. The header Allow lists its methods.",
        (),
        headers,
    )


def allowed_methods(request: Request) -> set[str]:
    """The methods of every route that has this address. HEAD is answered wherever GET is, OPTIONS everywhere."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def internal_error(error: Exception) -> Response:
    """A fault of ours: the log gets its type and where it happened, never its text, which may quote what was sent."""
    if isinstance(error, ClientDisconnect):
        return problem_response(400, "malformed", "The body ended too soon. Send the request again.")
    frames = traceback.extract_tb(error.__traceback__)[-_LOGGED_FRAMES:]
    call_path = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("unforeseen error %s at %s", type(error).__name__, call_path)
    return problem_response(
        500, "unforeseen", "The service failed, and recorded nothing. Its log says where it failed."
    )


async def _handle_unavailable(_: Request, error: Exception) -> Response:
    log.warning("the database does not answer: %s", type(error).__name__)
    return refusal_response(
        ServiceUnavailable("The database does not answer at present. Send the request again in a moment.")
    )


def schema_faults(
    errors: Sequence[Mapping[str, Any]],
    body: Any,
    members: Collection[str],
    declared_members: DeclaredMembers | None = None,
) -> list[Fault]:
    """What pydantic objects to in a request, of which `members` are the only names that may be repeated.

    `declared` gives the members that the object at a path may have.
    """
    return [_schema_fault(each, body, members, declared_members) for each in _drop_consequential(errors)]


def _drop_consequential(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the complaint that a list is too short for want of members that are at fault themselves."""
    return [
        error
        for error in errors
        if error["type"] != "too_short" or not any(_is_inside(other["loc"], error["loc"]) for other in errors)
    ]


def _is_inside(inner: Sequence[Any], outer: Sequence[Any]) -> bool:
    return len(inner) > len(outer) and tuple(inner[: len(outer)]) == tuple(outer)


def _schema_fault(
    error: Mapping[str, Any], body: Any, members: Collection[str], declared_members: DeclaredMembers | None
) -> Fault:
    kind = error["type"]
    message = validation_message(error)
    source, *path = error["loc"]
    if source != "body":
        return Fault(f"schema-{_code(kind)}", f"{source} {path[0] if path else ''}: {message}".strip(), "")
    if (
        kind == "extra_forbidden"
        and declared_members
        and (names := declared_members(path=path[:-1], unknown=str(path[-1])))
    ):
        message = unknown_name_message("member", str(path[-1]), names)
    return Fault(f"schema-{_code(kind)}", message, json_pointer(path, body, members))


def _code(kind: str) -> str:
    return kind.replace("_", "-")


def json_pointer(path: Iterable[str | int], body: Any, members: Collection[str]) -> str:
    """A JSON pointer into the body along pydantic's path, in which tags of unions are no members.

    It ends at the object that has an undeclared member: that name is the client's, and is not repeated.
    """
    steps, value, path = [""], body, list(path)
    for index, step in enumerate(path):
        if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        elif isinstance(value, dict) and isinstance(step, str) and (step in value or index == len(path) - 1):
            if step not in members:
                break
            value = value.get(step)
        else:
            continue
        steps.append(str(step))
    return "/".join(steps)
