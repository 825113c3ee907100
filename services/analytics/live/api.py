"""Server-sent events: the parts of a study that have changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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
from shared.ui.live_updates import LiveUpdates, Write
from shared.web.connection import WRITE_PIECE
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
    reader, live_updates = _services(request)
    rights = await reader.member_rights(study, request.state.caller.subject)
    stream = _MemberStream(request, study, reader, live_updates, is_reader=rights.is_reader)
    return CountedStream(
        request,
        stream.frames(await stream.open_updates()),
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


class _MemberStream:
    """The event stream of one member, as a reader of publications or not."""

    def __init__(
        self, request: Request, study: str, reader: StudyReader, live_updates: LiveUpdates, *, is_reader: bool
    ) -> None:
        self._request, self._study, self._reader, self._live_updates = request, study, reader, live_updates
        self._member, self._is_reader = request.state.caller.subject, is_reader
        self._token_holds: Callable[[], bool] = request.state.token_holds
        self._write_piece: Write | None = request.scope.get("extensions", {}).get(WRITE_PIECE, {}).get("write")

    async def open_updates(self) -> AsyncIterator[bytes]:
        """Returns the frames for a member who loads the page now; for readers those of data cuts alone."""
        generation = self._live_updates.generation  # before the position: a reset in between ends the stream
        if self._is_reader:
            cuts = await self._reader.data_cuts(self._study)
            versions, parts = {READER_EVENT: str(cuts[-1].position)} if cuts else {}, frozenset({READER_EVENT})
        else:
            current = await self._reader.projection_position(self._study)
            versions, parts = dict.fromkeys(LIVE_PARTS, str(current.position)), None
        return self._live_updates.stream(self._study, versions, generation, parts, self._write)

    async def frames(self, updates: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yields the frames until the caller's token expires or the caller's grants no longer allow this stream.

        Pages then ask to sign in, or begin another stream.
        """
        async for frame in updates:
            if not self._is_allowed() and not await self._is_allowed_now():
                return
            yield frame

    async def _is_allowed_now(self) -> bool:
        """Fetches keys and study again if they are old, before it answers."""
        try:
            await get_container(self._request).authenticate(self._request)
        except RequestError:
            return False
        await self._reader.studies.current(self._study)
        return self._is_allowed()

    def _is_allowed(self) -> bool:
        """Returns whether it is known, without a wait, that the member may get a frame."""
        if not self._token_holds() or (state := self._reader.studies.cached(self._study)) is None:
            return False
        rights = state.rights(self._member)
        return bool(rights.grants) and rights.is_reader is self._is_reader

    def _write(self, frames: bytes) -> bool:
        return self._write_piece is not None and self._is_allowed() and self._write_piece(frames)


def _services(request: Request) -> tuple[StudyReader, LiveUpdates]:
    container = get_container(request)
    return container.get_resources(StudyResources).reader, container.get_resources(LiveResources).live_updates
