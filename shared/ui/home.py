"""The start page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.kernel.errors import RequestError
from shared.ui.navigation import Link
from shared.ui.pages import Pages, create_page_router, html_response
from shared.web.container import get_container

NEW_STUDY_URL = "/enrollment/studies/new"
ListStudies = Callable[[Request], Awaitable[Sequence[Link]]]
"""Returns links to the studies of the person who has signed in."""


def home_routes(
    pages: Pages,
    study_links: Mapping[str, Sequence[Link]],
    list_own_studies: ListStudies,
    may_open_study: Callable[[str], bool],
) -> APIRouter:
    """Returns the route `/`: the start page, with the person's own studies, and `study_links` under their headings.

    It leads those who may open a study to the form.
    """
    routes = create_page_router()

    @routes.get("/")
    async def home(request: Request) -> Response:
        member = await _signed_in_member(request)
        own_studies = await list_own_studies(request) if member else ()
        opening_url = NEW_STUDY_URL if member and may_open_study(member) else ""
        return html_response(
            pages.render(
                "home.html", links=study_links, own_studies=own_studies, member=member, opening_url=opening_url
            )
        )

    return routes


async def _signed_in_member(request: Request) -> str:
    """Returns the subject of the session; an empty text without a valid session."""
    try:
        await get_container(request).authenticate(request)
    except RequestError:
        return ""
    return str(request.state.caller.subject)
