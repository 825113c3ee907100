"""Route classes that authenticate, authorize and read a bounded, unambiguous body before a handler runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import cached_property
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from shared.kernel.errors import BodyTooLarge, Fault, RequestRejected, UnsupportedMediaType
from shared.offload import offload
from shared.settings import MIB, Limits
from shared.web.entitlement import entitlement_of
from shared.web.entity_tags import content_tag
from shared.web.query_parameters import declared_parameters, refuse_unknown_parameters
from shared.web.read_logging import log_noted_read
from shared.web.request_body import BodyReader, ParsedBody, declared_members
from shared.web.schema_members import body_schema

_INLINE_MAX_BYTES = 4096
"""Bytes of a body up to which it is parsed on the event loop."""
_LARGE_BODY_MIN_BYTES = 64 * 1024
"""Bytes of a body from which on a caller may have only a few in progress."""
_SINGLE_HEADERS = ("idempotency-key", "quartal-after")
"""Headers that may be sent only once."""


class BoundedRequest(Request):
    """Reads its body once, up to a limit: that of a page's form, unless a subclass takes more."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            max_bytes = self.max_bytes
            if _content_length(self.headers.get("content-length", "")) > max_bytes:
                raise BodyTooLarge(_too_large_message(max_bytes))
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise BodyTooLarge(_too_large_message(max_bytes))
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body

    @property
    def max_bytes(self) -> int:
        """The greatest size of the body in bytes."""
        return self.limits.max_form_bytes

    @property
    def limits(self) -> Limits:
        limits: Limits = self.app.state.limits
        return limits


def refuse_long_query(request: BoundedRequest) -> None:
    """Raise RequestRejected for more parameters than any route has: each of them costs a check and a fault."""
    max_parameters = request.limits.max_parameters
    if request.scope["query_string"].count(b"&") >= max_parameters:
        message = f"The address has too many parameters. Give at most {max_parameters}."
        raise RequestRejected(message, code="parameter", faults=[Fault("parameter", message)])


def _content_length(header: str) -> int:
    return int(header) if header.isdecimal() and len(header) < 20 else 0


def _too_large_message(max_bytes: int) -> str:
    return (
        f"The body is too large. Send at most {max_bytes:,} bytes."
        if max_bytes % MIB
        else f"The body is too large. Send at most {max_bytes // MIB} MiB."
    )


class CheckedRequest(BoundedRequest):
    """A request of an authenticated caller."""

    parsed_body: ParsedBody

    @property
    def max_bytes(self) -> int:
        return self.limits.max_body_bytes

    async def json(self) -> Any:
        """Return the validated body, which FastAPI takes as it is."""
        return self.parsed_body.value

    @property
    def is_large(self) -> bool:
        """The body is large by its declared length, or has none declared."""
        return (
            self.method == "POST"
            and not 0 < _content_length(self.headers.get("content-length", "")) <= _LARGE_BODY_MIN_BYTES
        )

    def check(self) -> None:
        """Check the headers. Raises RequestRejected and UnsupportedMediaType."""
        for name in _SINGLE_HEADERS:
            if len(self.headers.getlist(name)) > 1:
                message = f"header {name}: This header is sent more than once. Send it once."
                raise RequestRejected(message, code="schema", faults=[Fault("schema-too-long", message)])
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json" or self.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMediaType

    async def read_body(self, reader: BodyReader) -> None:
        """Parse and validate the body: a large one in a thread. Raises MalformedBody and RequestRejected."""
        body, with_canonical = await self.body(), "idempotency-key" in self.headers

        def parse() -> ParsedBody:
            return reader.read(body, with_canonical=with_canonical)

        self.parsed_body = (
            parse() if len(body) <= _INLINE_MAX_BYTES else await offload(self.state.caller.subject, parse)
        )


class StrictRoute(APIRoute):
    """Refuses query parameters that the route does not declare. Every route of every service is one."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self.parameters = declared_parameters(self.dependant)

    def check_parameters(self, request: Request) -> None:
        """Raise RequestRejected for a parameter that is not declared, or repeated."""
        refuse_unknown_parameters((name for name, _ in request.query_params.multi_items()), self.parameters)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            self.check_parameters(request)
            return await handle(request)

        return handle_strictly


class BoundedRoute(StrictRoute):
    """Reads the body, if there is one, before the handler runs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            bounded_request = BoundedRequest(request.scope, request.receive)
            refuse_long_query(bounded_request)
            if request.method == "POST":
                await bounded_request.body()
            return await log_noted_read(bounded_request, self.endpoint, await handle(bounded_request))

        return handle_bounded


class CheckedRoute(StrictRoute):
    """Authenticates the caller, checks their role and reads the whole body, in this order, before the handler runs."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self._entitlement = entitlement_of(endpoint)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = APIRoute.get_route_handler(self)  # parameters are checked after authentication

        async def handle_checked(request: Request) -> Response:
            checked_request = CheckedRequest(request.scope, request.receive)
            await checked_request.app.state.admit(checked_request)
            refuse_long_query(checked_request)
            traffic, caller = checked_request.app.state.traffic, checked_request.state.caller.subject
            with traffic.request(caller):
                if self._entitlement:
                    async with traffic.turn(caller):  # it may wait, and query the database repeatedly
                        await self._entitlement(checked_request)
                async with traffic.upload(caller) if checked_request.is_large else nullcontext():
                    await self._receive_body(checked_request)
                    async with traffic.turn(caller):
                        if checked_request.method == "POST":
                            await checked_request.read_body(self._body_reader(checked_request))
                        return with_tag(
                            request, await log_noted_read(checked_request, self.endpoint, await handle(checked_request))
                        )

        return handle_checked

    async def _receive_body(self, request: CheckedRequest) -> None:
        self.check_parameters(request)
        if request.method == "POST":
            request.check()
            await request.body()

    def _body_reader(self, request: CheckedRequest) -> BodyReader:
        adapter = self.body_field._type_adapter if self.body_field else None  # made by FastAPI already, and large
        return BodyReader(adapter, self._declared_members, request.limits, lambda: body_schema(request))

    @cached_property
    def _declared_members(self) -> frozenset[str]:
        return (
            frozenset(declared_members(self.body_field.field_info.annotation, set()))
            if self.body_field
            else frozenset()
        )


def with_tag(request: Request, response: Response) -> Response:
    """Add a tag of its content to the response to a read, unless it has one. Streams and files get none here."""
    content = getattr(response, "body", None)
    if request.method == "GET" and response.status_code == 200 and content is not None:
        response.headers.setdefault("ETag", content_tag(bytes(content)))
    return response
