"""Server-sent events: the parts of a study that have changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.analytics.disclosure.policy import READER_EVENT
from services.analytics.live.parts import LIVE_PARTS, SEALING_PARTS
from services.analytics.snapshot.api import StudyResources
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.errors import RequestError
from shared.ui.live_updates import LiveUpdates
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses

routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class LiveResources(Resources):
    """The event streams of all studies."""

    live_updates: LiveUpdates


@routes.get(
    "/live",
    tags=["reading"],
    summary="Live updates",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": (
                f"`event`: one of {', '.join(LIVE_PARTS)}, or {READER_EVENT} for a new data cut. "
                f"Readers get {READER_EVENT} only. `data`: the position to read it at. "
                f"{' and '.join(SEALING_PARTS)} follow the sealing of data cuts; their `data` is a number that grows"
            ),
        },
        **refusal_responses({429: "Too many event streams of this caller", 503: "Too many event streams"}),
    },
)
async def live(request: Request, study: StudyIdPath) -> StreamingResponse:
    """Sends server-sent events: the name of each figure or list that may have changed, with its new position."""
    reader, _ = _services(request)
    rights = await reader.member_rights(study, request.state.caller.subject)
    updates = await _open_updates(request, study, is_reader=rights.is_reader)
    return CountedStream(
        request,
        _while_authorized(request, study, updates, is_reader=rights.is_reader),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class CountedStream(StreamingResponse):
    """An event stream that counts against its caller's limit while it is open."""

    def __init__(self, request: Request, frames: AsyncIterator[bytes], **response_options: Any) -> None:
        super().__init__(frames, **response_options)
        self._traffic, self._caller = get_container(request).traffic, request.state.caller.subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._traffic.stream(self._caller):
            await super().__call__(scope, receive, send)


async def _open_updates(request: Request, study: str, *, is_reader: bool) -> AsyncIterator[bytes]:
    """Returns the frames for a member who loads the page now; for readers those of data cuts alone."""
    reader, live_updates = _services(request)
    generation = live_updates.generation  # before the position: a reset in between ends the stream
    if is_reader:
        cuts = await reader.data_cuts(study)
        return live_updates.stream(
            study, {READER_EVENT: str(cuts[-1].position)} if cuts else {}, generation, parts=(READER_EVENT,)
        )
    current = await reader.projection_position(study)
    return live_updates.stream(study, dict.fromkeys(LIVE_PARTS, str(current.position)), generation)


async def _while_authorized(
    request: Request, study: str, frames: AsyncIterator[bytes], *, is_reader: bool
) -> AsyncIterator[bytes]:
    """Yields the frames until the caller's token expires or the caller's grants no longer allow this stream.

    Pages then ask to sign in, or begin another stream.
    """
    reader, _ = _services(request)
    async for frame in frames:
        try:
            await get_container(request).authenticate(request)
        except RequestError:
            return
        state = await reader.studies.current(study)
        rights = state.rights(request.state.caller.subject)
        if not rights.grants or rights.is_reader is not is_reader:
            return
        yield frame


def _services(request: Request) -> tuple[StudyReader, LiveUpdates]:
    container = get_container(request)
    return container.get_resources(StudyResources).reader, container.get_resources(LiveResources).live_updates
