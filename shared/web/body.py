"""Requests as they reach a handler: from somebody known, who may ask, with a body that is bounded and unambiguous."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import cached_property
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from shared.apart import apart
from shared.kernel.refusal import Fault, TooLarge, Unacceptable, UnsupportedMedia
from shared.settings import MIB, Limits
from shared.web.entitlement import entitlement_of
from shared.web.entity_tags import content_tag
from shared.web.parameters import declared_parameters, refuse_unknown_parameters
from shared.web.reads import keep_read
from shared.web.schema_members import body_schema
from shared.web.validation import Content, Reader, declared_members

_SMALL = 4096
"""Bytes of a body that is read at once on the event loop."""
_LARGE = 64 * 1024
"""Bytes of a body from which on a caller has few of them received and worked on at once."""
_ONCE = ("idempotency-key", "quartal-after")
"""Headers of which a second one may mean another request."""


class BoundedRequest(Request):
    """Reads its body once, and not more of it than is allowed: as a page's form, unless a subclass takes more."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            most = self.most
            if _length(self.headers.get("content-length", "")) > most:
                raise TooLarge(_largest(most))
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > most:
                    raise TooLarge(_largest(most))
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body

    @property
    def most(self) -> int:
        """Bytes that the body may have."""
        return self.limits.max_form_bytes

    @property
    def limits(self) -> Limits:
        limits: Limits = self.app.state.limits
        return limits


def refuse_long_query(request: BoundedRequest) -> None:
    """Raises Unacceptable for more parameters than any route has: each of them costs a check, and a fault."""
    most = request.limits.max_parameters
    if request.scope["query_string"].count(b"&") >= most:
        message = f"The address has too many parameters. Give at most {most}."
        raise Unacceptable(message, code="parameter", faults=[Fault("parameter", message)])


def _length(header: str) -> int:
    return int(header) if header.isdecimal() and len(header) < 20 else 0


def _largest(most: int) -> str:
    return (
        f"The body is too large. Send at most {most:,} bytes."
        if most % MIB
        else f"The body is too large. Send at most {most // MIB} MiB."
    )


class CheckedRequest(BoundedRequest):
    """A request of somebody known."""

    content: Content

    @property
    def most(self) -> int:
        return self.limits.max_body_bytes

    async def json(self) -> Any:
        """What the route declares: FastAPI takes it as it is."""
        return self.content.made

    @property
    def is_large(self) -> bool:
        """The body is large by its declared length, or has none declared."""
        return self.method == "POST" and not 0 < _length(self.headers.get("content-length", "")) <= _LARGE

    def check(self) -> None:
        """Raises Unacceptable, UnsupportedMedia for what the headers show already."""
        for name in _ONCE:
            if len(self.headers.getlist(name)) > 1:
                message = f"header {name}: This header is sent more than once. Send it once."
                raise Unacceptable(message, code="schema", faults=[Fault("schema-too-long", message)])
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json" or self.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMedia

    async def read(self, reader: Reader) -> None:
        """Parse and validate the body: a large one in a thread. Raises Malformed, Unacceptable."""
        body, with_canonical = await self.body(), "idempotency-key" in self.headers

        def work() -> Content:
            return reader.read(body, with_canonical=with_canonical)

        self.content = work() if len(body) <= _SMALL else await apart(self.state.caller.subject, work)


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
            refuse_long_query(whole)
            if request.method == "POST":
                await whole.body()
            return await keep_read(whole, self.endpoint, await handle(whole))

        return bounded


class CheckedRoute(StrictRoute):
    """Asks who calls, whether they may, and for the whole body, in this order, before anything is made of it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self._tail = path.rpartition("}")[2]
        self._entitlement = entitlement_of(endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Most routes differ in how they end: one comparison instead of a regular expression."""
        return super().matches(scope) if scope["path"].endswith(self._tail) else (Match.NONE, {})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = APIRoute.get_route_handler(self)  # the parameters are checked here, once it is clear who calls

        async def checked(request: Request) -> Response:
            whole = CheckedRequest(request.scope, request.receive)
            await whole.app.state.admit(whole)
            refuse_long_query(whole)
            traffic, caller = whole.app.state.traffic, whole.state.caller.subject
            with traffic.request(caller):
                if self._entitlement:
                    async with traffic.turn(caller):  # it may wait, and asks the database again and again meanwhile
                        await self._entitlement(whole)
                async with traffic.upload(caller) if whole.is_large else nullcontext():
                    await self._receive(whole)
                    async with traffic.turn(caller):
                        if whole.method == "POST":
                            await whole.read(self._reader(whole))
                        return with_tag(request, await keep_read(whole, self.endpoint, await handle(whole)))

        return checked

    async def _receive(self, request: CheckedRequest) -> None:
        self.check_parameters(request)
        if request.method == "POST":
            request.check()
            await request.body()

    def _reader(self, request: CheckedRequest) -> Reader:
        adapter = self.body_field._type_adapter if self.body_field else None  # made by FastAPI already, and large
        return Reader(adapter, self._members, request.limits, lambda: body_schema(request))

    @cached_property
    def _members(self) -> frozenset[str]:
        return (
            frozenset(declared_members(self.body_field.field_info.annotation, set()))
            if self.body_field
            else frozenset()
        )


def with_tag(request: Request, response: Response) -> Response:
    """The answer to a read, with a tag of its content unless it has a better one. Streams and files have none here."""
    content = getattr(response, "body", None)
    if request.method == "GET" and response.status_code == 200 and content is not None:
        response.headers.setdefault("ETag", content_tag(bytes(content)))
    return response
