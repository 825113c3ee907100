"""Pages as HTML: the templates that all services share, and those of a feature beside its code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shared.ui.navigation import StudyHeader
from shared.ui.static_folder import content_name
from shared.web.same_origin import PageRoute

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MAX_TABLE_ROWS = 500
"""Rows of one table on a page; files have all of them."""
SHARED_TEMPLATES = Path(__file__).with_name("templates")
NextAddress = Annotated[str, Query(alias="next")]
"""The address that signing in leads back to."""
_KEPT_TOGETHER = re.compile(r"(\d{4}-\d{2}-\d{2}|\d+ / \d+ = [\d.]+ %|\(95 % CI [^)]*\))")
_UNBROKEN = Markup('<span class="unbroken">{}</span>')
_NONE: Mapping[str, Callable[..., str]] = MappingProxyType({})


class Pages:
    """Templates of one feature, which extend and include the shared ones.

    `service` serves the static files, `templates` is the feature's folder. `filters` and `functions` are available to
    its templates by name.
    """

    def __init__(
        self,
        service: str,
        templates: Path | None = None,
        *,
        filters: Mapping[str, Callable[..., str]] = _NONE,
        functions: Mapping[str, Callable[..., str]] = _NONE,
    ) -> None:
        folders = [templates, SHARED_TEMPLATES] if templates else [SHARED_TEMPLATES]
        self._environment = Environment(
            loader=FileSystemLoader(folders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"static": f"/{service}/static/{content_name()}", "member": "", **functions}
        self._environment.filters |= {"timestamp": format_timestamp, "keep_together": keep_together, **filters}

    def render(self, template: str, **context: object) -> str:
        return self._environment.get_template(template).render(context)

    def render_study(self, template: str, study: StudyHeader, **context: object) -> str:
        """Renders a page of a study, which extends `study_page.html`."""
        return self.render(template, study=study, member=study.member, **context)


def create_page_router() -> APIRouter:
    """Creates a router for pages: not part of the API, and protected against requests that other websites cause."""
    return APIRouter(include_in_schema=False, route_class=PageRoute)


def html_response(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


def format_timestamp(timestamp: datetime | None) -> str:
    """Returns a time in UTC to the second; `none yet` for None."""
    return f"{timestamp.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if timestamp else "none yet"


def keep_together(text: str) -> Markup:
    """Keeps each proportion, interval and date on one line."""
    pieces = _KEPT_TOGETHER.split(text)
    return Markup().join(_UNBROKEN.format(piece) if number % 2 else piece for number, piece in enumerate(pieces))
