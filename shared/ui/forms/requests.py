"""Requests of forms: bounded bodies, the session's cookie, and a token against forms of other web sites."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Mapping
from email.message import Message
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.routing import APIRoute

from shared.kernel.errors import CrossSiteRequest, UnsupportedMediaType
from shared.ui.forms.fields import Group, Leaf, Member, OneOf
from shared.ui.forms.reading import accepts
from shared.web.bounded_request import BoundedRequest, refuse_long_query
from shared.web.container import get_container
from shared.web.entitlement import AFTER_PATTERN
from shared.web.query_parameters import refuse_unknown_parameters
from shared.web.read_logging import log_noted_read
from shared.web.same_origin import PageRoute, require_same_origin

MEDIA_TYPE = "application/x-www-form-urlencoded"
_COOKIE = "form"
COOKIE_SECONDS = 12 * 3600
FORM_FIELDS = "__form_fields__"
AfterParameter = Annotated[str | None, Query(pattern=AFTER_PATTERN)]
"""A version of enrollment that the service has to know before it shows the page."""
FactTypePath = Annotated[str, Path(alias="type")]
"""The type of the fact that a page states."""
FieldsOf = Callable[[Mapping[str, Any]], Group | None]
"""Returns the fields of the form at an address, by the parameters of its path; None if there is none."""


class FormRequest(BoundedRequest):
    """A request of a form. It may carry the session's cookie, because its route checks which page sent it."""

    is_form = True

    @property
    def max_bytes(self) -> int:
        return self.limits.max_body_bytes


class FormRoute(PageRoute):
    """A route of a form. Query parameters of a GET may name the fields of the form, and fill them in advance."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self._fields_of: FieldsOf | None = getattr(endpoint, FORM_FIELDS, None)

    def check_parameters(self, request: Request) -> None:
        """Raises ParameterRejected for a parameter that is neither declared nor a field that may be filled."""
        fields = self._fields_of(request.path_params) if self._fields_of and request.method == "GET" else None
        names = [name for name, _ in request.query_params.multi_items()]
        refuse_unknown_parameters((n for n in names if not (fields and may_prefill(fields, n))), self.parameters)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = APIRoute.get_route_handler(self)

        async def handle_form(request: Request) -> Response:
            form_request = FormRequest(request.scope, request.receive)
            refuse_long_query(form_request)
            self.check_parameters(form_request)
            if form_request.method == "POST":
                require_same_origin(form_request)
                _require_form(form_request)
                await form_request.body()
            return await log_noted_read(form_request, self.endpoint, await handle(form_request))

        return handle_form


def create_form_router(service: str) -> APIRouter:
    """Creates a router for pages of a service's studies that have forms."""
    return APIRouter(include_in_schema=False, route_class=FormRoute, prefix=f"/{service}/studies")


def fills_from_query(fields_of: FieldsOf) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares the form of an endpoint, whose fields query parameters may fill."""

    def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        setattr(endpoint, FORM_FIELDS, fields_of)
        return endpoint

    return mark


def may_prefill(fields: Group, name: str) -> bool:
    """Returns whether a query parameter may fill the field: sealed texts never stand in an address."""
    return accepts(fields, name) and not _is_sealed(fields, name.split("."))


def _is_sealed(group: Group, steps: list[str]) -> bool:
    member = next((member for member in group.members if member.name == steps[0]), None)
    return member is not None and _leads_to_sealed(member, [step for step in steps[1:] if not step.isdecimal()])


def _leads_to_sealed(member: Member, steps: list[str]) -> bool:
    node = getattr(member.node, "item", member).node
    match node:
        case Leaf(kind=kind):
            return kind == "sealed"
        case Group() if steps:
            return _is_sealed(node, steps)
        case OneOf(options=options):
            return any(_leads_to_sealed(option, steps) for option in options)
    return False


def _require_form(request: Request) -> None:
    media = Message()
    media["Content-Type"] = request.headers.get("content-type", "")
    is_form = media.get_content_type() == MEDIA_TYPE and media.get_content_charset("utf-8") == "utf-8"
    if not is_form or request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType(f"The body is not a form. Send {MEDIA_TYPE} in UTF-8, uncompressed.")


def form_token(request: Request) -> str:
    """Returns the browser's token for forms; a new one if it has none."""
    token = _cookie(request)
    return token if 20 <= len(token) <= 64 and token.isascii() else secrets.token_urlsafe(16)


def keep_form_token(request: Request, response: Response, token: str) -> None:
    get_container(request).cookies.set(response, _COOKIE, token, COOKIE_SECONDS)


def require_form_token(request: Request, token: str) -> None:
    """Raises CrossSiteRequest unless the form has the token of the browser's cookie."""
    expected = _cookie(request)
    if not expected or not secrets.compare_digest(expected.encode(), token.encode()):
        raise CrossSiteRequest


def _cookie(request: Request) -> str:
    return request.cookies.get(get_container(request).cookies.name(_COOKIE), "")
