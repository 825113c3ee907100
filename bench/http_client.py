"""A cheap HTTP/1.1 client: keep-alive connections, one request at a time on each, bytes in and bytes out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import closing
from typing import cast
from uuid import uuid4

from bench.environment import run_concurrently
from infra.local.ports import LOOPBACK

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class UnexpectedStatus(Exception):
    """A response other than 201."""


class KeepAliveConnection(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport
        self._response: asyncio.Future[bytes]

    async def post(self, request: bytes) -> bytes:
        """Returns the body of the 201. Raises UnexpectedStatus, ConnectionError."""
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        response = await self._response
        if response[9:12] != b"201":
            raise UnexpectedStatus(response.decode(errors="replace"))
        return response.partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._transport.close()

    @property
    def is_closed(self) -> bool:
        return self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _CONTENT_LENGTH.search(self._buffer, 0, end) if end >= 0 else None
        if length and len(self._buffer) >= end + 4 + int(length[1]):
            response, self._buffer = self._buffer, b""
            self._response.set_result(response)

    def connection_lost(self, _: Exception | None) -> None:
        if hasattr(self, "_response") and not self._response.done():
            self._response.set_exception(ConnectionError("the server closed the connection"))


class ConnectionPool:
    """Connections to one server; opens another one when all are in use or closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[KeepAliveConnection] = []

    async def post(self, request: bytes) -> bytes:
        while self._idle and self._idle[-1].is_closed:
            self._idle.pop()
        connection = self._idle.pop() if self._idle else await self._connect()
        response = await connection.post(request)
        self._idle.append(connection)
        return response

    async def _connect(self) -> KeepAliveConnection:
        _, connection = await asyncio.get_running_loop().create_connection(KeepAliveConnection, LOOPBACK, self._port)
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


async def post_all(port: int, connections: int, requests: Sequence[bytes]) -> float:
    """Sends every request and awaits its 201; returns the requests per second."""
    with closing(ConnectionPool(port)) as pool:
        return await run_concurrently(connections, lambda number: pool.post(requests[number]), len(requests))


def post_request(path: str, body: str, token: str, host: str = LOOPBACK) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {uuid4()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    )
    return f"{head}{body}".encode()
