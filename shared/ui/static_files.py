"""Style, scripts and icon of the pages."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from shared.kernel.errors import NotFound
from shared.ui.pages import create_page_router
from shared.web.app import PUBLIC_CACHE_CONTROL

FOLDER = Path(__file__).with_name("static")
_MEDIA_TYPES = {
    "app.css": "text/css",
    "favicon.svg": "image/svg+xml",
    "forms.js": "text/javascript",
    "live.js": "text/javascript",
    "session.js": "text/javascript",
    "stream.js": "text/javascript",
}


def static_routes(service: str) -> APIRouter:
    """Returns the routes of the static files, below `/<service>/static/`."""
    routes = create_page_router()

    @routes.get(f"/{service}/static/{{name}}")
    async def static_file(name: str) -> Response:
        return _file_response(name)

    @routes.get("/favicon.ico")
    async def favicon() -> Response:
        return _file_response("favicon.svg")

    return routes


def _file_response(name: str) -> Response:
    if name not in _MEDIA_TYPES:
        raise NotFound
    return FileResponse(FOLDER / name, media_type=_MEDIA_TYPES[name], headers={"Cache-Control": PUBLIC_CACHE_CONTROL})
