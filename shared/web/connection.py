"""One connection of the server: bounded in time and in work, whatever is sent over it and however slowly it is read."""

from __future__ import annotations

import json
from asyncio import Handle, TimerHandle, Transport
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.kernel.refusal import Malformed, Refusal, TooMany, TooSlow
from shared.settings import Limits
from shared.web.problems import MEDIA_TYPE, problem_document

_FED_AT_ONCE = 16 * 1024
"""Bytes given to the parser at once: it measures what is incomplete, not what is there."""
_MOST_CHUNKS = 1_000
"""Pieces of a body: each costs the parser more than its bytes do."""
_CHUNKS_AT_ONCE = 50
"""Of these, as many as one connection has parsed before the others have their turn."""
_READ_AT_LEAST = 64 * 1024
"""Bytes of an answer that its reader takes within `max_stall_seconds`."""


TOO_MANY = "Too many connections are open. Close one, then try again."


class Connections:
    """Counts open connections, all of them and by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.by_address = Counter[str]()

    def enter(self, address: str) -> bool:
        """Count one more, even if it is too many: the answer says whether it may stay."""
        self.by_address[address] += 1
        few = self.by_address[address] <= self._limits.max_connections_per_address
        return few and self.by_address.total() <= self._limits.max_connections

    def leave(self, address: str) -> None:
        self.by_address[address] -= 1
        if not self.by_address[address]:
            del self.by_address[address]


class _Http(h11.Connection):
    """Refuses a body in very many pieces, and gives few of them at once: `is_over` says that there may be more."""

    _chunks = _given = 0

    def begin_turn(self) -> None:
        self._given = 0

    @property
    def is_over(self) -> bool:
        return self._given >= _CHUNKS_AT_ONCE

    def next_event(self) -> Any:
        if self.is_over:
            return h11.NEED_DATA
        event = super().next_event()
        if type(event) is h11.Request:
            self._chunks = 0
        elif type(event) is h11.Data:
            self._chunks, self._given = self._chunks + 1, self._given + 1
        if self._chunks > _MOST_CHUNKS:
            raise h11.RemoteProtocolError("too many pieces")
        return event


class Connection(H11Protocol):
    """Ends a request whose headers or body do not arrive in time, and an answer that nobody reads."""

    transport: Transport

    def __init__(self, limits: Limits, connections: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.conn: _Http = _Http(h11.SERVER)
        self._unfed = bytearray()
        self._next_turn: Handle | None = None
        self._limits, self._connections = limits, connections
        self._address = ""
        self._awaited: tuple[str, object] | None = None
        self._arrival: TimerHandle | None = None
        self._reading: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if self._connections.enter(self._address):
            self._watch()
        else:
            self._refuse(TooMany(TOO_MANY))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self._address)
        _stop(self._arrival)
        _stop(self._reading)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unfed += data
        if self._next_turn is None:
            self._feed()

    def _feed(self) -> None:
        """Parse what has arrived, as much as one turn allows."""
        goes_on, self._next_turn = self._next_turn is not None, None
        self.conn.begin_turn()
        if goes_on and not self.transport.is_closing():
            self.handle_events()
        while self._unfed and self._next_turn is None and not self.transport.is_closing():
            piece = bytes(self._unfed[:_FED_AT_ONCE])
            del self._unfed[:_FED_AT_ONCE]
            super().data_received(piece)

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.is_over and self._next_turn is None:
            self.flow.pause_reading()
            self._next_turn = self.loop.call_soon(self._feed)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what is no HTTP."""
        self._refuse(Malformed("That is no HTTP/1.1 request, or its headers or pieces are too many."))

    def _watch(self) -> None:
        """Start the clock of what is awaited from the client now, unless it runs already."""
        awaited = self._what_is_awaited()
        if awaited == self._awaited:
            return
        _stop(self._arrival)
        self._awaited, self._arrival = awaited, None
        if awaited:
            limits = self._limits
            seconds = limits.max_header_seconds if awaited[0] == "headers" else limits.max_body_seconds
            self._arrival = self.loop.call_later(seconds, self._give_up)

    def _what_is_awaited(self) -> tuple[str, object] | None:
        """The rest of which request; None between requests: uvicorn ends a connection that is idle."""
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
            self._refuse(TooSlow())

    def _refuse(self, refusal: Refusal) -> None:
        """Answer by a problem document where no answer has begun; end the request and the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_answer(self.conn, refusal))
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
        _stop(self._reading)
        self._reading = None

    def _watch_reader(self) -> None:
        if self._reading is None:
            left = self.transport.get_write_buffer_size()
            self._reading = self.loop.call_later(self._limits.max_stall_seconds, self._look_at_reader, left)

    def _look_at_reader(self, before: int) -> None:
        """Cut a connection whose reader took too little of what was written."""
        self._reading = None
        left = self.transport.get_write_buffer_size()
        if left and before - left < _READ_AT_LEAST:
            self.transport.abort()
        elif left:
            self._watch_reader()


def connection(limits: Limits) -> Callable[..., Connection]:
    """Make the protocol of every connection of one server."""
    connections = Connections(limits)

    def made(**uvicorn: Any) -> Connection:
        return Connection(limits, connections, **uvicorn)

    return made


def _stop(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _answer(conn: h11.Connection, refusal: Refusal) -> bytes:
    document = problem_document(refusal.status, refusal.code, refusal.title)
    body = json.dumps(document).encode()
    headers = [
        ("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("cache-control", "no-store"),
        ("connection", "close"),
    ]  # fmt: skip
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    response = h11.Response(status_code=refusal.status, headers=headers)
    parts = (conn.send(each) for each in (response, h11.Data(data=body), h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)
