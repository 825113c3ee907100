"""An HTTP/1.1 client that costs little: one keep-alive connection, one request at a time, bytes in and bytes out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import closing
from typing import cast
from uuid import uuid4

from bench.ground import spread
from infra.local.ports import LOOPBACK

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Refused(Exception):
    """An answer that is not 201."""


class Line(asyncio.Protocol):
    def __init__(self) -> None:
        self._got = b""
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[bytes]

    async def post(self, request: bytes) -> bytes:
        """The body of a 201. Raises Refused, ConnectionError."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if answer[9:12] != b"201":
            raise Refused(answer.decode(errors="replace"))
        return answer.partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._transport.close()

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        length = _LENGTH.search(self._got, 0, end) if end >= 0 else None
        if length and len(self._got) >= end + 4 + int(length[1]):
            answer, self._got = self._got, b""
            self._answer.set_result(answer)

    def connection_lost(self, _: Exception | None) -> None:
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))


class Lines:
    """Connections to one server; there is one more whenever all are in use, or were closed for being idle."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[Line] = []

    async def post(self, request: bytes) -> bytes:
        while self._free and self._free[-1].closed:
            self._free.pop()
        line = self._free.pop() if self._free else await self._connected()
        answer = await line.post(request)
        self._free.append(line)
        return answer

    async def _connected(self) -> Line:
        _, line = await asyncio.get_running_loop().create_connection(Line, LOOPBACK, self._port)
        return line

    def close(self) -> None:
        for line in self._free:
            line.close()


async def post_all(port: int, connections: int, requests: Sequence[bytes]) -> float:
    """Every request answered by 201; how many a second."""
    with closing(Lines(port)) as lines:
        return await spread(connections, lambda number: lines.post(requests[number]), len(requests))


def post_request(path: str, body: str, token: str, host: str = LOOPBACK) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {uuid4()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    )
    return f"{head}{body}".encode()
