"""Route classes: each checks a request before its handler runs, for parameters, caller, entitlement and body."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import cached_property
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute

from shared.web.bounded_request import BoundedRequest, CheckedRequest, refuse_long_query
from shared.web.container import get_container
from shared.web.entitlement import entitlement_of
from shared.web.entity_tags import content_tag
from shared.web.query_parameters import declared_parameters, refuse_unknown_parameters
from shared.web.read_logging import log_noted_read
from shared.web.request_body import BodyReader, declared_members
from shared.web.schema_members import body_schema


class StrictRoute(APIRoute):
    """Base of every route: refuses query parameters that the route does not declare."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self.parameters = declared_parameters(self.dependant)

    def check_parameters(self, request: Request) -> None:
        """Raises RequestRejected for a parameter that is not declared or is repeated."""
        refuse_unknown_parameters((name for name, _ in request.query_params.multi_items()), self.parameters)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            self.check_parameters(request)
            return await handle(request)

        return handle_strictly


class BoundedRoute(StrictRoute):
    """Reads a bounded body before the handler runs, and logs reads of participants' rows."""

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
    """Checks the caller, then their entitlement, then reads and validates the whole body, before the handler runs."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self._entitlement = entitlement_of(endpoint)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = APIRoute.get_route_handler(self)  # parameters are checked after authentication

        async def handle_checked(request: Request) -> Response:
            checked_request = CheckedRequest(request.scope, request.receive)
            container = get_container(checked_request)
            await container.authenticate(checked_request)
            refuse_long_query(checked_request)
            traffic, caller = container.traffic, checked_request.state.caller.subject
            with traffic.request(caller):
                if self._entitlement:
                    async with traffic.turn(caller):  # the check may wait and poll the database
                        await self._entitlement(checked_request)
                async with traffic.upload(caller) if checked_request.is_large else nullcontext():
                    await self._receive_body(checked_request)
                    async with traffic.turn(caller):
                        if checked_request.has_body and self.body_field:
                            await checked_request.read_body(self._body_reader(checked_request))
                        return with_tag(
                            request, await log_noted_read(checked_request, self.endpoint, await handle(checked_request))
                        )

        return handle_checked

    async def _receive_body(self, request: CheckedRequest) -> None:
        self.check_parameters(request)
        if request.has_body:
            if self.body_field:
                request.check()
            await request.body()

    def _body_reader(self, request: CheckedRequest) -> BodyReader:
        adapter = self.body_field._type_adapter if self.body_field else None  # built by FastAPI, and large
        return BodyReader(adapter, self._declared_members, request.limits, lambda: body_schema(request))

    @cached_property
    def _declared_members(self) -> frozenset[str]:
        return (
            frozenset(declared_members(self.body_field.field_info.annotation, set()))
            if self.body_field
            else frozenset()
        )


def add_routes(target: FastAPI | APIRouter, *routers: APIRouter) -> None:
    """Adds the routes themselves, so that `app.routes` shows each; `include_router` would hide them (ADR 22)."""
    for router in routers:
        target.routes.extend(router.routes)


def with_tag(request: Request, response: Response) -> Response:
    """Adds an entity tag of the content to the response of a read that has none. Streams and files are left alone."""
    content = getattr(response, "body", None)
    if request.method == "GET" and response.status_code == 200 and content is not None:
        response.headers.setdefault("ETag", content_tag(bytes(content)))
    return response
