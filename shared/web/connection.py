"""Connections of the server, with limits on time, pieces of a body, and unread output."""

from __future__ import annotations

import json
from asyncio import Handle, TimerHandle, Transport
from collections import Counter
from functools import lru_cache
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.kernel.errors import MalformedBody, RequestError, RequestTooSlow, TooManyRequests
from shared.settings import Limits
from shared.web.problems import MEDIA_TYPE, problem_document

_FEED_BYTES = 16 * 1024
"""Bytes given to the parser at once: its limit applies to incomplete input, not to the total."""
_MAX_CHUNKS = 1_000
"""Limit on the chunks of a body: each costs the parser more than its bytes."""
_CHUNKS_PER_TURN = 50
"""Chunks that one connection may parse before other connections get their turn."""
_MIN_BYTES_PER_STALL = 64 * 1024
"""Bytes of a response that a client must read within `max_stall_seconds`."""


WRITE_PIECE = "quartal.write_piece"
"""ASGI extension: its function `write` writes a piece of a stream without a wait; see `BoundedConnection`."""
TOO_MANY_CONNECTIONS = "Too many connections are open. Close one, then try again."


class ConnectionCounter:
    """Counts open connections, in total and by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.by_address = Counter[str]()

    def enter(self, address: str) -> bool:
        """Counts a connection; returns whether it may stay. `leave` must be called in both cases."""
        self.by_address[address] += 1
        is_within_address_limit = self.by_address[address] <= self._limits.max_connections_per_address
        return is_within_address_limit and self.by_address.total() <= self._limits.max_connections

    def leave(self, address: str) -> None:
        self.by_address[address] -= 1
        if not self.by_address[address]:
            del self.by_address[address]


class _ChunkLimitedH11(h11.Connection):
    """Refuses a body in too many chunks, and parses few of them in one turn. See `is_turn_over`."""

    _chunks = _chunks_this_turn = 0

    def begin_turn(self) -> None:
        self._chunks_this_turn = 0

    @property
    def is_turn_over(self) -> bool:
        """True if this turn's chunks are used up; there may be more input."""
        return self._chunks_this_turn >= _CHUNKS_PER_TURN

    def next_event(self) -> Any:
        if self.is_turn_over:
            return h11.NEED_DATA
        event = super().next_event()
        if type(event) is h11.Request:
            self._chunks = 0
        elif type(event) is h11.Data:
            self._chunks, self._chunks_this_turn = self._chunks + 1, self._chunks_this_turn + 1
        if self._chunks > _MAX_CHUNKS:
            raise h11.RemoteProtocolError("too many pieces")
        return event


class BoundedConnection(H11Protocol):
    """Ends requests whose headers or body arrive too slowly, and responses that the client does not read."""

    transport: Transport

    def __init__(self, limits: Limits, connections: ConnectionCounter, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.conn: _ChunkLimitedH11 = _ChunkLimitedH11(h11.SERVER)
        self._unparsed = bytearray()
        self._next_turn: Handle | None = None
        self._limits, self._connections = limits, connections
        self._address = ""
        self._awaited_part: tuple[str, object] | None = None
        self._arrival_timer: TimerHandle | None = None
        self._stall_timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if self._connections.enter(self._address):
            self._watch_arrival()
        else:
            self._refuse(TooManyRequests(TOO_MANY_CONNECTIONS))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self._address)
        _cancel_timer(self._arrival_timer)
        _cancel_timer(self._stall_timer)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        if self._next_turn is None:
            self._feed()

    def _feed(self) -> None:
        """Parses the input that has arrived, as much as one turn allows."""
        is_continuing, self._next_turn = self._next_turn is not None, None
        self.conn.begin_turn()
        if is_continuing and not self.transport.is_closing():
            self.handle_events()
        while self._unparsed and self._next_turn is None and not self.transport.is_closing():
            piece = bytes(self._unparsed[:_FEED_BYTES])
            del self._unparsed[:_FEED_BYTES]
            super().data_received(piece)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None:
            self.cycle.scope["extensions"] = {WRITE_PIECE: {"write": self._write_piece}}
        if self.conn.is_turn_over and self._next_turn is None:
            self.flow.pause_reading()
            self._next_turn = self.loop.call_soon(self._feed)
        self._watch_arrival()

    def _write_piece(self, piece: bytes) -> bool:
        """Writes a piece of the body of a stream that has begun, in the framing that h11 has chosen for it.

        Returns False without a write if the client reads too slowly, or is no client of HTTP/1.1.
        """
        is_possible = self.conn.our_state is h11.SEND_BODY and self.conn.their_http_version == b"1.1"
        if not is_possible or self.flow.write_paused or self.transport.is_closing():
            return False
        self.transport.write(_chunk(piece))
        return True

    def send_400_response(self, msg: str) -> None:
        """Answers input that is not HTTP; called by uvicorn."""
        self._refuse(MalformedBody("That is no HTTP/1.1 request, or its headers or pieces are too many."))

    def _watch_arrival(self) -> None:
        """Starts the timer for the part that the client has to send next, unless it runs already."""
        awaited_part = self._awaited_from_client()
        if awaited_part == self._awaited_part:
            return
        _cancel_timer(self._arrival_timer)
        self._awaited_part, self._arrival_timer = awaited_part, None
        if awaited_part:
            limits = self._limits
            seconds = limits.max_header_seconds if awaited_part[0] == "headers" else limits.max_body_seconds
            self._arrival_timer = self.loop.call_later(seconds, self._give_up)

    def _awaited_from_client(self) -> tuple[str, object] | None:
        """Returns the part of the request that must arrive next; None between requests, where uvicorn's timer runs."""
        if self.transport.is_closing():
            return None
        if self.conn.their_state is h11.SEND_BODY:
            return "body", self.cycle
        is_first = self.cycle is None
        if self.conn.their_state is h11.IDLE and (is_first or self.conn.trailing_data[0]):
            return "headers", self.cycle
        return None

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.transport.close()
        else:
            self._refuse(RequestTooSlow())

    def _refuse(self, refusal: RequestError) -> None:
        """Sends a problem document unless a response has begun; ends the request and the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_problem_bytes(self.conn, refusal))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._watch_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel_timer(self._stall_timer)
        self._stall_timer = None

    def _watch_reader(self) -> None:
        if self._stall_timer is None:
            unsent_bytes = self.transport.get_write_buffer_size()
            self._stall_timer = self.loop.call_later(self._limits.max_stall_seconds, self._check_reader, unsent_bytes)

    def _check_reader(self, unsent_before: int) -> None:
        """Aborts the connection if the client has read too little since the last check."""
        self._stall_timer = None
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes and unsent_before - unsent_bytes < _MIN_BYTES_PER_STALL:
            self.transport.abort()
        elif unsent_bytes:
            self._watch_reader()


@lru_cache(maxsize=10)
def _chunk(piece: bytes) -> bytes:
    """Returns the chunk of the piece (RFC 9112, 7.1), which many streams of the same bytes share."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def connection_class(limits: Limits) -> type[BoundedConnection]:
    """Returns the class of the connections of one server, which share one counter."""
    connections = ConnectionCounter(limits)

    class ServerConnection(BoundedConnection):
        def __init__(self, **uvicorn: Any) -> None:
            super().__init__(limits, connections, **uvicorn)

    return ServerConnection


def _cancel_timer(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _problem_bytes(conn: h11.Connection, refusal: RequestError) -> bytes:
    document = problem_document(refusal.status, refusal.code, refusal.title)
    body = json.dumps(document).encode()
    headers = [
        ("content-type", MEDIA_TYPE),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("connection", "close"),
    ]
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    response = h11.Response(status_code=refusal.status, headers=headers)
    events = (response, h11.Data(data=body), h11.EndOfMessage())
    parts = [conn.send(event) for event in events]
    return b"".join(part or b"" for part in parts)
