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

from shared.kernel.refusal import MOST_FAULTS, Busy, Fault, NotFound, Refusal, Unrecognised
from shared.web.names import unknown
from shared.web.schema_sentences import sentence

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_FRAMES = 8
Declared = Callable[..., Collection[str]]
FORM_TITLE = "The request does not have the required form. `errors` says what is wrong, and where."
MORE = Fault(
    "more-faults", f"There are more faults than these {MOST_FAULTS}. Correct these, then send the request again."
)
_OF_STATUS = {404: "not-found"}


class FaultShown(BaseModel):
    model_config = ConfigDict(title="Fault")
    code: str
    message: str
    pointer: str
    because_of: str | None = None


class ProblemShown(BaseModel):
    """A problem document (RFC 9457). `errors` lists everything that is wrong, with JSON pointers into the body. It
    has at least one entry."""

    model_config = ConfigDict(title="Problem")
    type: str
    title: str
    status: int
    errors: Annotated[list[FaultShown], Field(min_length=1)]


def problem(
    status: int, code: str, title: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    document = problem_document(status, code, title, faults)
    return JSONResponse(document, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_document(status: int, code: str, title: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """List the first MOST_FAULTS faults; a last entry says that there are more."""
    first = list(islice(faults, MOST_FAULTS + 1))
    listed = [*first[:MOST_FAULTS], MORE] if len(first) > MOST_FAULTS else first
    shown = [
        {"code": fault.code, "message": fault.message, "pointer": fault.pointer}
        | ({"because_of": fault.because_of} if fault.because_of else {})
        for fault in listed or [Fault(code, title)]
    ]
    return {"type": f"/problems/{code}", "title": title, "status": status, "errors": shown}


def of_refusal(refusal: Refusal) -> Response:
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    if isinstance(refusal, Unrecognised):
        headers["WWW-Authenticate"] = _challenge(refusal.reason)
    return problem(refusal.status, refusal.code, refusal.title, refusal.faults, headers)


def _challenge(reason: str) -> str:
    """As RFC 6750, 3 has it: no error where no token was sent."""
    return f'Bearer error="invalid_token", error_description="{reason}"' if reason else "Bearer"


def install_problems(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return of_refusal(refusal)

    @app.exception_handler(RequestValidationError)
    async def not_of_the_schema(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "schema", FORM_TITLE, schema_faults(error.errors()[: MOST_FAULTS + 1], None, ()))

    @app.exception_handler(HTTPException)
    async def of_the_framework(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            return _other_method(request)
        code = _OF_STATUS.get(error.status_code, "refused")
        title = {404: NotFound.title}
        return problem(error.status_code, code, title.get(error.status_code, "The request was refused."))

    for away in AWAY:
        app.add_exception_handler(away, _away)


def _other_method(request: Request) -> Response:
    """Answer OPTIONS with the methods that the address has; refuse any other that it has not."""
    headers = {"Allow": ", ".join(sorted(allowed_methods(request)))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    return problem(
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


def unforeseen(error: Exception) -> Response:
    """A fault of ours: the log gets its type and where it happened, never its text, which may quote what was sent."""
    if isinstance(error, ClientDisconnect):
        return problem(400, "malformed", "The body ended too soon. Send the request again.")
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    way = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("unforeseen error %s at %s", type(error).__name__, way)
    return problem(500, "unforeseen", "The service failed, and recorded nothing. Its log says where it failed.")


def _connection_errors() -> tuple[type[Exception], ...]:
    import asyncpg

    return (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # a connection that was cut in the middle of a conversation
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.TransactionRollbackError,  # a deadlock, as when a migration locks what a request reads
    )


AWAY = _connection_errors()
"""What is raised while the database is away or comes back: nothing was recorded, the client tries again."""


async def _away(_: Request, error: Exception) -> Response:
    log.warning("the database does not answer: %s", type(error).__name__)
    return of_refusal(Busy("The database does not answer at present. Send the request again in a moment."))


def schema_faults(
    errors: Sequence[Mapping[str, Any]], body: Any, members: Collection[str], declared: Declared | None = None
) -> list[Fault]:
    """What pydantic objects to in a request, of which `members` are the only names that may be repeated.

    `declared` gives the members that the object at a path may have.
    """
    return [_schema_fault(each, body, members, declared) for each in _telling(errors)]


def _telling(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the complaint that a list is too short for want of members that are at fault themselves."""
    return [
        error
        for error in errors
        if error["type"] != "too_short" or not any(_is_within(other["loc"], error["loc"]) for other in errors)
    ]


def _is_within(inner: Sequence[Any], outer: Sequence[Any]) -> bool:
    return len(inner) > len(outer) and tuple(inner[: len(outer)]) == tuple(outer)


def _schema_fault(error: Mapping[str, Any], body: Any, members: Collection[str], declared: Declared | None) -> Fault:
    kind = error["type"]
    message = sentence(error)
    where, *path = error["loc"]
    if where != "body":
        return Fault(f"schema-{_code(kind)}", f"{where} {path[0] if path else ''}: {message}".strip(), "")
    if kind == "extra_forbidden" and declared and (names := declared(path=path[:-1], unknown=str(path[-1]))):
        message = unknown("member", str(path[-1]), names)
    return Fault(f"schema-{_code(kind)}", message, pointer(path, body, members))


def _code(kind: str) -> str:
    return kind.replace("_", "-")


def pointer(path: Iterable[str | int], body: Any, members: Collection[str]) -> str:
    """A JSON pointer into the body along pydantic's path, in which tags of unions are no members.

    It ends at the object that has an undeclared member: that name is the client's, and is not repeated.
    """
    steps, here, path = [""], body, list(path)
    for place, step in enumerate(path):
        if isinstance(here, list) and isinstance(step, int) and 0 <= step < len(here):
            here = here[step]
        elif isinstance(here, dict) and isinstance(step, str) and (step in here or place == len(path) - 1):
            if step not in members:
                break
            here = here.get(step)
        else:
            continue
        steps.append(str(step))
    return "/".join(steps)
