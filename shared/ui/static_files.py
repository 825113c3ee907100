"""Style, scripts and icon of the pages."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from shared.kernel.errors import NotFound
from shared.ui.pages import create_page_router
from shared.ui.static_folder import FOLDER, MEDIA_TYPES, content_name
from shared.web.app import PUBLIC_CACHE_CONTROL

IMMUTABLE_CACHE_CONTROL = "public, max-age=31536000, immutable"


def static_routes(service: str) -> APIRouter:
    """Returns the routes of the static files, below `/<service>/static/`.

    Pages link to them below the name of their content, where browsers keep them for a year. Below the name of another
    release, which a page may have while processes are replaced, they are served as they are now and not kept.
    """
    routes = create_page_router()

    @routes.get(f"/{service}/static/{{name}}")
    async def static_file(name: str) -> Response:
        return _file_response(name, PUBLIC_CACHE_CONTROL)

    @routes.get(f"/{service}/static/{{content}}/{{name}}")
    async def static_file_of_content(content: str, name: str) -> Response:
        return _file_response(name, IMMUTABLE_CACHE_CONTROL if content == content_name() else PUBLIC_CACHE_CONTROL)

    @routes.get("/favicon.ico")
    async def favicon() -> Response:
        return _file_response("favicon.svg", PUBLIC_CACHE_CONTROL)

    return routes


def _file_response(name: str, cache_control: str) -> Response:
    if name not in MEDIA_TYPES:
        raise NotFound
    return FileResponse(FOLDER / name, media_type=MEDIA_TYPES[name], headers={"Cache-Control": cache_control})
