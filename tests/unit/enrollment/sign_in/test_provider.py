"""A provider that answers slowly: no step of a sign-in waits for it longer than a request may claim a renewal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from services.enrollment.sign_in.provider import (
    TIMEOUT_SECONDS,
    ClientRegistration,
    Provider,
    ProviderTokens,
    ProviderUnavailable,
)
from services.enrollment.sign_in.repository import CLAIM_MAX_AGE
from shared.kernel.clock import Clock

TOKENS = ProviderTokens("anna", "id-token", "refresh-token")


@asynccontextmanager
async def slow_provider(*, slow_path: str) -> AsyncIterator[Provider]:
    """Runs a provider that never finishes its answer at this path: it sends a byte whenever one is expected."""

    connections: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(ended := asyncio.Event())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if slow_path.encode() in request:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(document), document))
        await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    endpoints = dict.fromkeys(("authorization_endpoint", "token_endpoint", "revocation_endpoint"), f"{issuer}/token")
    document = json.dumps({"issuer": issuer, "jwks_uri": f"{issuer}/keys", **endpoints}).encode()
    registration = ClientRegistration(
        issuer=issuer, client_id="quartal", client_secret="", scope="openid", redirect_uri="", signed_out_uri=""
    )
    try:
        yield Provider(registration, Clock(), timeout_seconds=1)
    finally:
        server.close()
        await asyncio.gather(*(connection.wait() for connection in connections))


STEPS: dict[str, Callable[[Provider], Awaitable[object]]] = {
    "begin": lambda provider: provider.authorization_url(state="s", nonce="n", code_verifier="v" * 43),
    "redeem": lambda provider: provider.redeem("code", nonce="n", code_verifier="v" * 43),
    "refresh": lambda provider: provider.refresh(TOKENS),
}


@pytest.mark.parametrize(
    ("step", "slow_path"),
    [("begin", "/.well-known/"), ("redeem", "/.well-known/"), ("redeem", "/token"), ("refresh", "/token")],
)
async def test_answer_that_never_ends_is_no_answer(step: str, slow_path: str) -> None:
    async with asyncio.timeout(20), slow_provider(slow_path=slow_path) as provider:
        with pytest.raises(ProviderUnavailable):
            await STEPS[step](provider)


async def test_sign_out_does_not_wait_for_an_answer_that_never_ends() -> None:
    async with asyncio.timeout(20), slow_provider(slow_path="/token") as provider:
        assert await provider.sign_out(TOKENS) == ""


def test_claim_of_a_renewal_lasts_longer_than_its_request() -> None:
    assert CLAIM_MAX_AGE.total_seconds() > TIMEOUT_SECONDS
