"""What reaches a handler: a request that says who it is from, with a body that is bounded, JSON, and unambiguous."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from shared.kernel.refusal import Fault, Malformed, TooLarge, TooMany, Unacceptable, UnsupportedMedia
from shared.kernel.text import is_showable
from shared.web.entity_tags import content_tag
from shared.web.parameters import declared_parameters, refuse_unknown_parameters

LARGEST = 1024 * 1024
MOST_AT_ONCE = 100  # requests of one caller that are under way
_DEEPEST = 40
_ONCE = ("idempotency-key", "quartal-after")
"""Headers of which a second one may mean another request."""


class BoundedRequest(Request):
    """Reads its body once, at most 1 MiB of it."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > LARGEST:
                    raise TooLarge
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body


class CheckedRequest(BoundedRequest):
    """As JSON its body has no duplicate members, no NaN, no hidden characters."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parsed(await self.body())
        return self._json

    async def check(self) -> None:
        if self.method != "POST":
            return
        for name in _ONCE:
            if len(self.headers.getlist(name)) > 1:
                message = f"header {name}: Send this header once."
                raise Unacceptable(message, code="schema", faults=[Fault("schema-too-long", message)])
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json" or self.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMedia
        await self.json()


class StrictRoute(APIRoute):
    """Refuses query parameters that the route does not declare. Every route of every service is one."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self.parameters = declared_parameters(self.dependant)

    def check_parameters(self, request: Request) -> None:
        """Raise Unacceptable for a parameter that is not declared, or repeated."""
        refuse_unknown_parameters((name for name, _ in request.query_params.multi_items()), self.parameters)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            self.check_parameters(request)
            return await handle(request)

        return strict


class BoundedRoute(StrictRoute):
    """Reads the body, where there is one, before anything is made of it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            whole = BoundedRequest(request.scope, request.receive)
            if request.method == "POST":
                await whole.body()
            return await handle(whole)

        return bounded


class CheckedRoute(StrictRoute):
    """Checks who calls, then the parameters, then the body, before anything is made of them."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self._tail = path.rpartition("}")[2]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Most routes differ in how they end: one comparison instead of a regular expression."""
        return super().matches(scope) if scope["path"].endswith(self._tail) else (Match.NONE, {})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = APIRoute.get_route_handler(self)  # the parameters are checked here, once it is clear who calls

        async def checked(request: Request) -> Response:
            whole = CheckedRequest(request.scope, request.receive)
            await self.admit(whole)
            with _one_of_few(whole.app.state.in_flight, whole.state.caller.subject):
                self.check_parameters(whole)
                await whole.check()
                return with_tag(request, await handle(whole))

        return checked

    async def admit(self, request: Request) -> None:
        """Who is it? Asked before the body is looked at."""
        await request.app.state.admit(request)


def with_tag(request: Request, response: Response) -> Response:
    """The answer to a read, with a tag of its content unless it has a better one. Streams and files have none here."""
    content = getattr(response, "body", None)
    if request.method == "GET" and response.status_code == 200 and content is not None:
        response.headers.setdefault("ETag", content_tag(bytes(content)))
    return response


@contextmanager
def _one_of_few(in_flight: Counter[str], subject: str) -> Iterator[None]:
    """So that one caller, whose program runs wild, leaves room for the others. Raises TooMany."""
    if in_flight[subject] >= MOST_AT_ONCE:
        raise TooMany
    in_flight[subject] += 1
    try:
        yield
    finally:
        in_flight[subject] -= 1
        if not in_flight[subject]:
            del in_flight[subject]


def parsed(body: bytes) -> Any:
    """The JSON value; Malformed for what is not JSON, or JSON that says a member twice or that no text can hold."""
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_once_each, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Malformed from None
    if not _holds(value, _DEEPEST):
        raise Malformed("The body has text with control characters, or is nested too deeply.")
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a member is said twice")
    return value


def _no_number(_: str) -> float:
    raise ValueError("not a number of JSON")


def _holds(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return (value.isascii() and value.isprintable()) or is_showable(value)
    if isinstance(value, list):
        return depth > 0 and all(_holds(member, depth - 1) for member in value)
    if isinstance(value, dict):
        return depth > 0 and all(_holds(name, 0) and _holds(member, depth - 1) for name, member in value.items())
    return True


def canonical(value: Any) -> bytes:
    """One form for every way of writing the same JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
