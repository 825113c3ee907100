"""An issuer's public keys, from a file or fetched from its address."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OKPKey

from infra.issuer import AUDIENCE, ISSUER
from shared.security.issuer_keys import FileKeys, HttpKeys, KeysUnavailable, parse_keys
from shared.security.tokens import Verifier
from tests.unit.security.signed_tokens import (
    EC,
    EC_OTHER,
    ED,
    ManualClock,
    base64url,
    jwks,
    sign_token,
    token_claims,
    token_header,
    write,
)


async def test_key_file_is_reloaded_when_it_changes(key_file: Path) -> None:
    keys = FileKeys(key_file)
    assert await keys.key(str(EC_OTHER.kid)) is None
    write(draft := key_file.with_suffix(".draft"), jwks(EC_OTHER))
    os.replace(draft, key_file)
    assert await keys.key(str(EC_OTHER.kid)) is not None
    assert await keys.key(str(EC.kid)) is None


@pytest.mark.parametrize(
    "damaged_content", [b"", b"{", b"[]", b'{"keys": 7}', b'{"keys": ["x"]}', b"[" * 100_000, b"\xff\xfe\x00"]
)
async def test_damaged_key_file_keeps_the_previous_keys(key_file: Path, damaged_content: bytes) -> None:
    keys = FileKeys(key_file)
    before = await keys.key(str(EC.kid))
    write(key_file, damaged_content)
    assert await keys.key(str(EC.kid)) == before is not None
    os.unlink(key_file)
    assert await keys.key(str(EC.kid)) == before


async def test_missing_keys_raise_keys_unavailable(tmp_path: Path, clock: ManualClock) -> None:
    verifier = Verifier(FileKeys(tmp_path / "absent.json"), ISSUER, AUDIENCE, now=clock)
    with pytest.raises(KeysUnavailable):
        await verifier.verify(sign_token(token_header(), token_claims()))


def test_only_signature_keys_are_accepted() -> None:
    x = EC.as_dict(private=False)
    short = {"kty": "RSA", "kid": "short", "e": "AQAB", "n": base64url(b"\xff" * 128)}
    unfit = [
        {**x, "kid": "enc", "use": "enc"},
        {**x, "kid": "es384", "alg": "ES384"},
        {**x, "kid": "list", "alg": ["ES256"]},
        {**x, "kid": "off-curve", "x": x["y"]},
        {**x, "kid": 7},
        {**x, "kid": "curve", "crv": ["P-256"]},
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "p384"},
        {**OKPKey.generate_key("X25519").as_dict(private=False), "kid": "x25519"},
        {"kty": "oct", "kid": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"},
        {"kty": "AKP", "kid": "post-quantum"},
        {"kid": "nothing"},
        short,
    ]
    document = json.dumps({"keys": [*unfit, {**x, "alg": "ES256", "use": "sig"}]}).encode()
    assert parse_keys(document).keys() == {EC.kid}


@dataclass
class KeyServer:
    """The key endpoint of an issuer on the loopback interface, and the clock of the keys fetched from it."""

    body: bytes = b""
    status: str = "200 OK"
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    delay: asyncio.Event | None = None
    request_count: int = 0
    monotonic_seconds: float = 1000.0
    url: str = ""
    stop: Callable[[], None] = field(default=lambda: None)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.request_count += 1
        self.arrived.set()
        if self.delay:
            await self.delay.wait()
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + self.body)
        await writer.drain()
        writer.close()

    def keys(self) -> HttpKeys:
        return HttpKeys(self.url, clock=lambda: self.monotonic_seconds, timeout=5)


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    key_server = KeyServer(jwks(EC))
    listening = await asyncio.start_server(key_server.answer, "127.0.0.1", 0)
    key_server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/jwks"
    key_server.stop = listening.close
    yield key_server
    listening.close()
    await listening.wait_closed()


async def test_fetched_keys_are_cached_for_ten_minutes(issuer: KeyServer) -> None:
    keys = issuer.keys()
    assert await keys.key(str(EC.kid)) is not None
    issuer.monotonic_seconds += 599
    assert await keys.key(str(EC.kid)) == keys.known_key(str(EC.kid)) is not None
    assert issuer.request_count == 1
    issuer.body = jwks(ED)
    issuer.monotonic_seconds += 1
    assert keys.known_key(str(EC.kid)) is None, "the issuer has to be asked again"
    assert await keys.key(str(EC.kid)) is None
    assert issuer.request_count == 2


async def test_address_that_is_no_url_has_no_keys() -> None:
    with pytest.raises(KeysUnavailable):
        await HttpKeys("http://[").key("x")


async def test_unknown_key_is_fetched_at_most_once_in_30_seconds(issuer: KeyServer) -> None:
    keys = issuer.keys()
    assert await keys.key(str(EC.kid)) is not None
    issuer.body = jwks(EC, ED)
    issuer.monotonic_seconds += 29
    assert [await keys.key(kid) for kid in ("x", "y", str(ED.kid))] == [None, None, None]
    assert issuer.request_count == 1
    issuer.monotonic_seconds += 1
    assert await keys.key(str(ED.kid)) is not None
    assert await keys.key("x") is None
    assert issuer.request_count == 2


async def test_cached_keys_are_used_while_the_issuer_is_unavailable(issuer: KeyServer) -> None:
    keys = issuer.keys()
    before = await keys.key(str(EC.kid))
    issuer.stop()
    issuer.monotonic_seconds += 3600
    assert await keys.key(str(EC.kid)) == before is not None


@pytest.mark.parametrize(("status", "body"), [("500 Oops", jwks(ED)), ("200 OK", b"<html>"), ("302 Found", b"")])
async def test_cached_keys_are_used_while_the_issuer_answers_incorrectly(
    issuer: KeyServer, status: str, body: bytes
) -> None:
    keys = issuer.keys()
    before = await keys.key(str(EC.kid))
    issuer.status, issuer.body = status, body
    issuer.monotonic_seconds += 3600
    assert await keys.key(str(EC.kid)) == before is not None
    assert issuer.request_count == 2


async def test_unavailable_issuer_is_retried_after_a_second(issuer: KeyServer) -> None:
    issuer.status = "503 Service Unavailable"
    keys = issuer.keys()
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await keys.key(str(EC.kid))
    assert issuer.request_count == 1
    issuer.status = "200 OK"
    issuer.monotonic_seconds += 1
    assert await keys.key(str(EC.kid)) is not None


async def test_concurrent_callers_share_one_fetch_and_do_not_wait_for_a_refresh(issuer: KeyServer) -> None:
    keys = issuer.keys()
    assert None not in await asyncio.gather(*(keys.key(str(EC.kid)) for _ in range(20)))
    assert issuer.request_count == 1
    issuer.delay, issuer.arrived = asyncio.Event(), asyncio.Event()
    issuer.monotonic_seconds += 600
    refreshing = asyncio.create_task(keys.key(str(EC.kid)))
    async with asyncio.timeout(5):
        await issuer.arrived.wait()
        assert await keys.key(str(EC.kid)) is not None
    assert not refreshing.done()
    issuer.delay.set()
    assert await refreshing is not None
