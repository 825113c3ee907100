"""A renewal ends before another request may use the same refresh token, however slowly the provider answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.enrollment.sign_in.provider import (
    RENEWAL_SECONDS,
    ClientRegistration,
    Provider,
    ProviderUnavailable,
    SignedIn,
)
from services.enrollment.sign_in.repository import CLAIM_MAX_AGE
from shared.kernel.clock import Clock


@pytest.fixture
async def slow_provider() -> AsyncIterator[str]:
    """The address of a server whose answers arrive a byte at a time and have no end."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.02)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_renewal_is_given_up_although_pieces_of_the_answer_arrive(slow_provider: str) -> None:
    registration = ClientRegistration(
        issuer=slow_provider,
        client_id="quartal",
        client_secret="",
        scope="openid",
        redirect_uri="http://127.0.0.1/session/callback",
        signed_out_uri="http://127.0.0.1/session",
    )
    provider = Provider(registration, Clock(), renewal_seconds=0.2)
    begun = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        await asyncio.wait_for(provider.refresh(SignedIn("anna", "", "refresh")), 10)
    assert time.monotonic() - begun < 5


def test_claim_of_a_renewal_outlasts_the_renewal() -> None:
    assert CLAIM_MAX_AGE.total_seconds() > RENEWAL_SECONDS
