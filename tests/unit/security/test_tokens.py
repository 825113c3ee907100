from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from infra.issuer import AUDIENCE, ISSUER, Issuer
from shared.security import tokens
from shared.security.issuer_keys import FileKeys, HttpKeys, KeysUnavailable, parse_keys
from shared.security.tokens import BadToken, Caller, Verifier

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EC, EC_OTHER = ECKey.generate_key("P-256", auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)
ED, RSA = OKPKey.generate_key("Ed25519", auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)
ALL_KEYS = (EC, ED, RSA)


def jwks(*keys: Key, **members: Any) -> bytes:
    return json.dumps({"keys": [{**key.as_dict(private=False), **members} for key in keys]}).encode()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def token_header(key: Key = EC, alg: object = "ES256", **members: Any) -> dict[str, Any]:
    return {"alg": alg, "typ": "at+jwt", "kid": key.kid, **members}


def token_claims(**members: Any) -> dict[str, Any]:
    now = int(NOON.timestamp())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna@site-01", "iat": now, "exp": now + 900, **members}


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in members.items() if member != name}


def sign_token(head: object, body: object, key: Key = EC, alg: str = "ES256") -> str:
    """A token with any header and body at all; text is taken as it is."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (head, body)]
    message = ".".join(base64url(part.encode()) for part in parts)
    return f"{message}.{base64url(JWSRegistry.algorithms[alg].sign(message.encode(), key))}"


@dataclass
class ManualClock:
    """A clock that a test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(*ALL_KEYS))
    return path


@pytest.fixture
def verifier(key_file: Path, clock: ManualClock) -> Verifier:
    return Verifier(FileKeys(key_file), ISSUER, AUDIENCE, now=clock)


async def refusal_reason(verifier: Verifier, token: str) -> str:
    with pytest.raises(BadToken) as error:
        await verifier.verify(token)
    assert str(error.value) == error.value.reason
    return error.value.reason


async def subject_or_reason(verifier: Verifier, token: str) -> str:
    try:
        return (await verifier.verify(token)).subject
    except BadToken as error:
        return error.reason


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519"), (RSA, "RS256")])
async def test_token_of_each_allowed_algorithm_is_verified(verifier: Verifier, key: Key, alg: str) -> None:
    token = sign_token(token_header(key, alg), token_claims(), key, alg)
    assert await verifier.verify(token) == Caller("anna@site-01")


@pytest.mark.parametrize(
    "body",
    [
        token_claims(aud=["somebody-else", AUDIENCE]),
        token_claims(nbf=int(NOON.timestamp())),
        token_claims(iat=NOON.timestamp() + 4, exp=NOON.timestamp() + 60.5),
        token_claims(scope="openid", roles=["administrator"], azp="a-client"),
    ],
)
async def test_additional_claims_are_ignored(verifier: Verifier, body: dict[str, Any]) -> None:
    token = sign_token(token_header(typ="application/AT+JWT", x5t="abc", vendor={"a": 1}), body)
    assert await verifier.verify(token) == Caller("anna@site-01")


NOW = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (token_claims(iss="https://elsewhere.example"), "issuer"),
        (without(token_claims(), "iss"), "issuer"),
        (token_claims(iss=[ISSUER]), "issuer"),
        (token_claims(aud="somebody-else"), "audience"),
        (token_claims(aud=[]), "audience"),
        (token_claims(aud={AUDIENCE: 1}), "audience"),
        (without(token_claims(), "aud"), "audience"),
        (without(token_claims(), "sub"), "subject"),
        (token_claims(sub=""), "subject"),
        (token_claims(sub=7), "subject"),
        (token_claims(sub="a\nb"), "subject"),
        (token_claims(sub="a\0"), "subject"),
        (token_claims(sub="a" * 256), "subject"),
        (token_claims(iat=NOW - 800, exp=NOW - 5), "expired"),
        (token_claims(exp=NOW + 901), "lifetime"),
        (token_claims(exp=NOW), "lifetime"),
        (token_claims(iat=NOW + 6, exp=NOW + 60), "not-yet-valid"),
        (token_claims(nbf=NOW + 6), "not-yet-valid"),
        (without(token_claims(), "exp"), "lifetime"),
        (without(token_claims(), "iat"), "lifetime"),
        (token_claims(exp=str(NOW + 900)), "lifetime"),
        (token_claims(iat=True), "lifetime"),
        (token_claims(exp=10**400), "lifetime"),
        (token_claims(exp=float("inf"), iat=float("nan")), "lifetime"),
        (token_claims(iat=-1), "lifetime"),
        (token_claims(nbf=None), "lifetime"),
        ([token_claims()], "malformed"),
        ("not json", "malformed"),
        ('{"iss": "' + ISSUER + '", "sub": "anna", "sub": "root"}', "duplicate"),
    ],
)
async def test_token_with_invalid_claims_is_refused(verifier: Verifier, body: object, reason: str) -> None:
    assert await refusal_reason(verifier, sign_token(token_header(), body)) == reason


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (token_header(alg="none"), "algorithm"),
        (token_header(alg="None"), "algorithm"),
        (token_header(alg="ES384"), "algorithm"),
        (token_header(alg="PS256"), "algorithm"),
        (token_header(alg=["ES256"]), "algorithm"),
        (without(token_header(), "alg"), "algorithm"),
        (token_header(RSA, "ES256"), "algorithm"),
        (token_header(alg="RS256"), "algorithm"),
        (token_header(typ="JWT"), "type"),
        (token_header(typ=None), "type"),
        (without(token_header(), "typ"), "type"),
        (token_header(kid="another"), "unknown-key"),
        (token_header(kid=None), "unknown-key"),
        (without(token_header(), "kid"), "unknown-key"),
        (token_header(crit=["exp"]), "header"),
        (token_header(crit=[]), "header"),
        (token_header(b64=False), "header"),
        (token_header(b64=False, crit=["b64"]), "header"),
        (json.dumps(token_header())[:-1] + ', "alg": "ES256"}', "duplicate"),
        (token_header(jwk=7), "signature"),
        ("[" * 5000, "malformed"),
        ("[]", "malformed"),
        ("{", "malformed"),
    ],
)
async def test_token_with_an_invalid_header_is_refused(verifier: Verifier, head: object, reason: str) -> None:
    assert await refusal_reason(verifier, sign_token(head, token_claims())) == reason


async def test_token_with_an_embedded_key_is_refused(verifier: Verifier) -> None:
    brought = EC_OTHER.as_dict(private=False)
    assert (
        await refusal_reason(verifier, sign_token(token_header(jwk=brought), token_claims(), EC_OTHER)) == "signature"
    )
    assert (
        await refusal_reason(verifier, sign_token(token_header(EC_OTHER, jwk=brought), token_claims(), EC_OTHER))
        == "unknown-key"
    )


@pytest.mark.parametrize("key", [EC, RSA])
@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER])
async def test_public_key_is_not_accepted_as_an_hmac_secret(
    verifier: Verifier, key: ECKey | RSAKey, form: Encoding
) -> None:
    public = key.public_key.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    message = sign_token(token_header(key, "HS256"), token_claims()).rpartition(".")[0]
    token = f"{message}.{base64url(hmac.digest(public, message.encode(), 'sha256'))}"
    assert await refusal_reason(verifier, token) == "algorithm"


async def test_an_unsigned_token_is_refused(verifier: Verifier) -> None:
    message = sign_token(token_header(alg="none"), token_claims()).rpartition(".")[0]
    assert await refusal_reason(verifier, f"{message}.") == "algorithm"
    message = sign_token(token_header(), token_claims()).rpartition(".")[0]
    assert await refusal_reason(verifier, f"{message}.") == "signature"


async def test_token_above_8_kilobytes_is_refused(verifier: Verifier) -> None:
    assert await refusal_reason(verifier, sign_token(token_header(), token_claims(padding="a" * 8192))) == "oversized"


@pytest.mark.parametrize(
    "nonsense", ["", ".", "..", "...", "a.b.c", "é.é.é", "\ud800", "e30.e30", "e30.e30.e30.e30", " "]
)
async def test_malformed_token_is_refused(verifier: Verifier, nonsense: str) -> None:
    assert await refusal_reason(verifier, nonsense) in {"malformed", "algorithm"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(at=st.integers(0, 10_000), letter=st.sampled_from("ABab01-_.=+/ \n"))
async def test_a_token_with_one_letter_changed_is_refused(verifier: Verifier, at: int, letter: str) -> None:
    token = sign_token(token_header(), token_claims())
    index = at % len(token)
    changed = token[:index] + letter + token[index + 1 :]
    if changed != token:
        assert await refusal_reason(verifier, changed) != "expired"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.builds(".".join, st.lists(st.text(), min_size=3, max_size=3)))
async def test_arbitrary_text_is_refused_without_other_errors(verifier: Verifier, text: str) -> None:
    assert await refusal_reason(verifier, text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jku", "jwk", "x5c", "x5u", "cty"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.just({}),
    )
)
async def test_arbitrary_header_is_verified_or_refused_without_other_errors(
    verifier: Verifier, head: dict[str, Any]
) -> None:
    answer = await subject_or_reason(verifier, sign_token({**token_header(), **head}, token_claims()))
    assert answer in {"anna@site-01", "algorithm", "header", "signature", "type", "unknown-key"}


async def test_expiry_has_five_seconds_of_clock_tolerance(verifier: Verifier, clock: ManualClock) -> None:
    token = sign_token(token_header(), token_claims())
    clock.advance(904.9)
    assert await verifier.verify(token) == Caller("anna@site-01")
    clock.advance(0.1)
    assert await refusal_reason(verifier, token) == "expired"


async def test_cached_token_expires_on_time(verifier: Verifier, clock: ManualClock) -> None:
    token = sign_token(token_header(), token_claims())
    await verifier.verify(token)
    clock.advance(904)
    assert await verifier.verify(token) == Caller("anna@site-01")
    clock.advance(1)
    assert await refusal_reason(verifier, token) == "expired"
    assert await refusal_reason(verifier, token) == "expired"


async def test_token_is_refused_when_its_key_is_removed(verifier: Verifier, key_file: Path) -> None:
    token = sign_token(token_header(), token_claims())
    await verifier.verify(token)
    write(key_file, jwks(ED))
    assert await refusal_reason(verifier, token) == "unknown-key"


async def test_key_replaced_under_the_same_id_invalidates_old_tokens(verifier: Verifier, key_file: Path) -> None:
    token = sign_token(token_header(), token_claims())
    await verifier.verify(token)
    write(key_file, jwks(EC_OTHER, kid=EC.kid))
    assert await refusal_reason(verifier, token) == "signature"


async def test_tokens_are_verified_once_and_the_cache_is_bounded(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "VERIFIED_TOKEN_CACHE_SIZE", 2)
    first, second, third = (sign_token(token_header(), token_claims(sub=name)) for name in ("a", "b", "c"))
    verified: list[str] = []
    check = JWSRegistry.algorithms["ES256"].verify

    def counted(message: bytes, signature: bytes, key: Any) -> bool:
        verified.append("once")
        return check(message, signature, key)

    monkeypatch.setattr(JWSRegistry.algorithms["ES256"], "verify", counted)
    for token in (first, second, first, second, third, second, third):
        await verifier.verify(token)
    assert len(verified) == 3
    await verifier.verify(first)  # the longest unused made room for the third
    assert len(verified) == 4


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
    """An issuer's key endpoint on the loopback interface, with a clock of its own for who asks it."""

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
    assert await keys.key(str(EC.kid)) is not None
    assert issuer.request_count == 1
    issuer.body = jwks(ED)
    issuer.monotonic_seconds += 1
    assert await keys.key(str(EC.kid)) is None
    assert issuer.request_count == 2


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


async def test_tokens_of_the_development_issuer_are_accepted(tmp_path: Path, clock: ManualClock) -> None:
    issuing = Issuer.load(tmp_path / "keys")
    verifier = Verifier(FileKeys(issuing.jwks), ISSUER, AUDIENCE, now=clock)
    assert await verifier.verify(issuing.token("anna", now=NOON)) == Caller("anna")
    assert await refusal_reason(verifier, issuing.token("anna", now=NOON, minutes=16)) == "lifetime"
    assert await refusal_reason(verifier, Issuer.load(tmp_path / "others").token("anna", now=NOON)) == "unknown-key"


async def test_development_issuer_keeps_its_key_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    first = Issuer.load(tmp_path)
    token, published = first.token("anna", now=NOON), first.jwks.read_bytes()
    changed = first.jwks.stat().st_mtime_ns
    again = Issuer.load(tmp_path)
    assert (again.jwks.read_bytes(), again.jwks.stat().st_mtime_ns) == (published, changed)
    assert await Verifier(FileKeys(again.jwks), ISSUER, AUDIENCE, now=clock).verify(token) == Caller("anna")


async def test_lost_or_foreign_public_key_file_is_recreated(tmp_path: Path) -> None:
    published = Issuer.load(tmp_path).jwks.read_bytes()
    (tmp_path / "jwks.json").write_bytes(jwks(EC))
    assert Issuer.load(tmp_path).jwks.read_bytes() == published
    (tmp_path / "jwks.json").unlink()
    assert Issuer.load(tmp_path).jwks.read_bytes() == published


def test_the_private_key_of_the_development_issuer_stays_private(tmp_path: Path) -> None:
    issuing = Issuer.load(tmp_path / "keys")
    private = json.loads((tmp_path / "keys" / "issuer.json").read_bytes())
    assert stat.S_IMODE((tmp_path / "keys" / "issuer.json").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "keys")) == ["issuer.json", "jwks.json"]
    for visible_text in (issuing.jwks.read_text(), repr(issuing)):
        assert private["d"] not in visible_text
