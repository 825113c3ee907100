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
from shared.security.tokens import BadToken, Caller, FileKeys, HttpKeys, KeysUnavailable, Verifier, parse_keys

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EC, EC_OTHER = ECKey.generate_key("P-256", auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)
ED, RSA = OKPKey.generate_key("Ed25519", auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)
ALL = (EC, ED, RSA)


def jwks(*keys: Key, **members: Any) -> bytes:
    return json.dumps({"keys": [{**key.as_dict(private=False), **members} for key in keys]}).encode()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def letters(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def header(key: Key = EC, alg: object = "ES256", **members: Any) -> dict[str, Any]:
    return {"alg": alg, "typ": "at+jwt", "kid": key.kid, **members}


def claims(**members: Any) -> dict[str, Any]:
    now = int(NOON.timestamp())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna@site-01", "iat": now, "exp": now + 900, **members}


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in members.items() if member != name}


def signed(head: object, body: object, key: Key = EC, alg: str = "ES256") -> str:
    """A token with any header and body at all; text is taken as it is."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (head, body)]
    message = ".".join(letters(part.encode()) for part in parts)
    return f"{message}.{letters(JWSRegistry.algorithms[alg].sign(message.encode(), key))}"


@dataclass
class Day:
    """A clock that a test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def day() -> Day:
    return Day()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(*ALL))
    return path


@pytest.fixture
def verifier(key_file: Path, day: Day) -> Verifier:
    return Verifier(FileKeys(key_file), ISSUER, AUDIENCE, now=day)


async def refusal(verifier: Verifier, token: str) -> str:
    with pytest.raises(BadToken) as refused:
        await verifier.verify(token)
    assert str(refused.value) == refused.value.reason
    return refused.value.reason


async def outcome(verifier: Verifier, token: str) -> str:
    try:
        return (await verifier.verify(token)).subject
    except BadToken as refused:
        return refused.reason


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519"), (RSA, "RS256")])
async def test_a_token_of_each_allowed_algorithm_names_its_subject(verifier: Verifier, key: Key, alg: str) -> None:
    token = signed(header(key, alg), claims(), key, alg)
    assert await verifier.verify(token) == Caller("anna@site-01")


@pytest.mark.parametrize(
    "said",
    [
        claims(aud=["somebody-else", AUDIENCE]),
        claims(nbf=int(NOON.timestamp())),
        claims(iat=NOON.timestamp() + 4, exp=NOON.timestamp() + 60.5),
        claims(scope="openid", roles=["administrator"], azp="a-client"),
    ],
)
async def test_what_else_an_issuer_may_say_does_no_harm(verifier: Verifier, said: dict[str, Any]) -> None:
    token = signed(header(typ="application/AT+JWT", x5t="abc", vendor={"a": 1}), said)
    assert await verifier.verify(token) == Caller("anna@site-01")


NOW = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (claims(iss="https://elsewhere.example"), "issuer"),
        (without(claims(), "iss"), "issuer"),
        (claims(iss=[ISSUER]), "issuer"),
        (claims(aud="somebody-else"), "audience"),
        (claims(aud=[]), "audience"),
        (claims(aud={AUDIENCE: 1}), "audience"),
        (without(claims(), "aud"), "audience"),
        (without(claims(), "sub"), "subject"),
        (claims(sub=""), "subject"),
        (claims(sub=7), "subject"),
        (claims(sub="a\nb"), "subject"),
        (claims(sub="a\0"), "subject"),
        (claims(sub="a" * 256), "subject"),
        (claims(iat=NOW - 800, exp=NOW - 5), "expired"),
        (claims(exp=NOW + 901), "lifetime"),
        (claims(exp=NOW), "lifetime"),
        (claims(iat=NOW + 6, exp=NOW + 60), "not-yet-valid"),
        (claims(nbf=NOW + 6), "not-yet-valid"),
        (without(claims(), "exp"), "lifetime"),
        (without(claims(), "iat"), "lifetime"),
        (claims(exp=str(NOW + 900)), "lifetime"),
        (claims(iat=True), "lifetime"),
        (claims(exp=10**400), "lifetime"),
        (claims(exp=float("inf"), iat=float("nan")), "lifetime"),
        (claims(iat=-1), "lifetime"),
        (claims(nbf=None), "lifetime"),
        ([claims()], "malformed"),
        ("not json", "malformed"),
        ('{"iss": "' + ISSUER + '", "sub": "anna", "sub": "root"}', "duplicate"),
    ],
)
async def test_a_signed_token_that_does_not_hold_here_and_now_is_refused(
    verifier: Verifier, said: object, reason: str
) -> None:
    assert await refusal(verifier, signed(header(), said)) == reason


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (header(alg="none"), "algorithm"),
        (header(alg="None"), "algorithm"),
        (header(alg="ES384"), "algorithm"),
        (header(alg="PS256"), "algorithm"),
        (header(alg=["ES256"]), "algorithm"),
        (without(header(), "alg"), "algorithm"),
        (header(RSA, "ES256"), "algorithm"),
        (header(alg="RS256"), "algorithm"),
        (header(typ="JWT"), "type"),
        (header(typ=None), "type"),
        (without(header(), "typ"), "type"),
        (header(kid="another"), "unknown-key"),
        (header(kid=None), "unknown-key"),
        (without(header(), "kid"), "unknown-key"),
        (header(crit=["exp"]), "header"),
        (header(crit=[]), "header"),
        (header(b64=False), "header"),
        (header(b64=False, crit=["b64"]), "header"),
        (json.dumps(header())[:-1] + ', "alg": "ES256"}', "duplicate"),
        (header(jwk=7), "signature"),
        ("[" * 5000, "malformed"),
        ("[]", "malformed"),
        ("{", "malformed"),
    ],
)
async def test_a_header_that_asks_for_something_else_is_refused(verifier: Verifier, head: object, reason: str) -> None:
    assert await refusal(verifier, signed(head, claims())) == reason


async def test_a_token_signed_by_a_key_of_its_own_is_refused(verifier: Verifier) -> None:
    brought = EC_OTHER.as_dict(private=False)
    assert await refusal(verifier, signed(header(jwk=brought), claims(), EC_OTHER)) == "signature"
    assert await refusal(verifier, signed(header(EC_OTHER, jwk=brought), claims(), EC_OTHER)) == "unknown-key"


@pytest.mark.parametrize("key", [EC, RSA])
@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER])
async def test_the_public_key_is_no_shared_secret(verifier: Verifier, key: ECKey | RSAKey, form: Encoding) -> None:
    public = key.public_key.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    message = signed(header(key, "HS256"), claims()).rpartition(".")[0]
    token = f"{message}.{letters(hmac.digest(public, message.encode(), 'sha256'))}"
    assert await refusal(verifier, token) == "algorithm"


async def test_an_unsigned_token_is_refused(verifier: Verifier) -> None:
    message = signed(header(alg="none"), claims()).rpartition(".")[0]
    assert await refusal(verifier, f"{message}.") == "algorithm"
    message = signed(header(), claims()).rpartition(".")[0]
    assert await refusal(verifier, f"{message}.") == "signature"


async def test_a_token_beyond_8_kilobytes_is_refused_unread(verifier: Verifier) -> None:
    assert await refusal(verifier, signed(header(), claims(padding="a" * 8192))) == "oversized"


@pytest.mark.parametrize(
    "nonsense", ["", ".", "..", "...", "a.b.c", "é.é.é", "\ud800", "e30.e30", "e30.e30.e30.e30", " "]
)
async def test_what_is_no_token_is_refused(verifier: Verifier, nonsense: str) -> None:
    assert await refusal(verifier, nonsense) in {"malformed", "algorithm"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(at=st.integers(0, 10_000), letter=st.sampled_from("ABab01-_.=+/ \n"))
async def test_a_token_with_one_letter_changed_is_refused(verifier: Verifier, at: int, letter: str) -> None:
    token = signed(header(), claims())
    place = at % len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        assert await refusal(verifier, changed) != "expired"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.builds(".".join, st.lists(st.text(), min_size=3, max_size=3)))
async def test_any_text_at_all_gets_a_refusal_and_nothing_worse(verifier: Verifier, text: str) -> None:
    assert await refusal(verifier, text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jku", "jwk", "x5c", "x5u", "cty"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.just({}),
    )
)
async def test_any_header_at_all_gets_an_answer_and_nothing_worse(verifier: Verifier, head: dict[str, Any]) -> None:
    answer = await outcome(verifier, signed({**header(), **head}, claims()))
    assert answer in {"anna@site-01", "algorithm", "header", "signature", "type", "unknown-key"}


async def test_a_token_holds_for_five_seconds_more_for_clocks_that_differ(verifier: Verifier, day: Day) -> None:
    token = signed(header(), claims())
    day.pass_by(904.9)
    assert await verifier.verify(token) == Caller("anna@site-01")
    day.pass_by(0.1)
    assert await refusal(verifier, token) == "expired"


async def test_a_remembered_token_expires_on_time(verifier: Verifier, day: Day) -> None:
    token = signed(header(), claims())
    await verifier.verify(token)
    day.pass_by(904)
    assert await verifier.verify(token) == Caller("anna@site-01")
    day.pass_by(1)
    assert await refusal(verifier, token) == "expired"
    assert await refusal(verifier, token) == "expired"


async def test_a_token_ends_with_its_key(verifier: Verifier, key_file: Path) -> None:
    token = signed(header(), claims())
    await verifier.verify(token)
    write(key_file, jwks(ED))
    assert await refusal(verifier, token) == "unknown-key"


async def test_a_key_replaced_under_the_same_id_ends_the_tokens_of_the_old_one(
    verifier: Verifier, key_file: Path
) -> None:
    token = signed(header(), claims())
    await verifier.verify(token)
    write(key_file, jwks(EC_OTHER, kid=EC.kid))
    assert await refusal(verifier, token) == "signature"


async def test_verification_happens_once_per_token_and_the_memory_is_bounded(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED", 2)
    first, second, third = (signed(header(), claims(sub=name)) for name in ("a", "b", "c"))
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


async def test_keys_on_disk_are_read_again_when_they_change(key_file: Path) -> None:
    keys = FileKeys(key_file)
    assert await keys.key(str(EC_OTHER.kid)) is None
    write(draft := key_file.with_suffix(".draft"), jwks(EC_OTHER))
    os.replace(draft, key_file)
    assert await keys.key(str(EC_OTHER.kid)) is not None
    assert await keys.key(str(EC.kid)) is None


@pytest.mark.parametrize(
    "spoilt", [b"", b"{", b"[]", b'{"keys": 7}', b'{"keys": ["x"]}', b"[" * 100_000, b"\xff\xfe\x00"]
)
async def test_a_spoilt_key_file_leaves_the_keys_as_they_were(key_file: Path, spoilt: bytes) -> None:
    keys = FileKeys(key_file)
    before = await keys.key(str(EC.kid))
    write(key_file, spoilt)
    assert await keys.key(str(EC.kid)) == before is not None
    os.unlink(key_file)
    assert await keys.key(str(EC.kid)) == before


async def test_without_any_keys_the_token_is_not_blamed(tmp_path: Path, day: Day) -> None:
    verifier = Verifier(FileKeys(tmp_path / "absent.json"), ISSUER, AUDIENCE, now=day)
    with pytest.raises(KeysUnavailable):
        await verifier.verify(signed(header(), claims()))


def test_only_keys_that_are_made_for_signatures_are_taken() -> None:
    x = EC.as_dict(private=False)
    short = {"kty": "RSA", "kid": "short", "e": "AQAB", "n": letters(b"\xff" * 128)}
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
    asked: int = 0
    seconds: float = 1000.0
    url: str = ""
    stop: Callable[[], None] = field(default=lambda: None)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self.arrived.set()
        if self.delay:
            await self.delay.wait()
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + self.body)
        await writer.drain()
        writer.close()

    def keys(self) -> HttpKeys:
        return HttpKeys(self.url, seconds=lambda: self.seconds, timeout=5)


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    key_server = KeyServer(jwks(EC))
    listening = await asyncio.start_server(key_server.answer, "127.0.0.1", 0)
    key_server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/jwks"
    key_server.stop = listening.close
    yield key_server
    listening.close()
    await listening.wait_closed()


async def test_fetched_keys_are_kept_for_ten_minutes(issuer: KeyServer) -> None:
    keys = issuer.keys()
    assert await keys.key(str(EC.kid)) is not None
    issuer.seconds += 599
    assert await keys.key(str(EC.kid)) is not None
    assert issuer.asked == 1
    issuer.body = jwks(ED)
    issuer.seconds += 1
    assert await keys.key(str(EC.kid)) is None
    assert issuer.asked == 2


async def test_an_unknown_key_is_asked_for_at_most_once_in_30_seconds(issuer: KeyServer) -> None:
    keys = issuer.keys()
    assert await keys.key(str(EC.kid)) is not None
    issuer.body = jwks(EC, ED)
    issuer.seconds += 29
    assert [await keys.key(kid) for kid in ("x", "y", str(ED.kid))] == [None, None, None]
    assert issuer.asked == 1
    issuer.seconds += 1
    assert await keys.key(str(ED.kid)) is not None
    assert await keys.key("x") is None
    assert issuer.asked == 2


async def test_the_old_keys_hold_while_the_issuer_is_away(issuer: KeyServer) -> None:
    keys = issuer.keys()
    before = await keys.key(str(EC.kid))
    issuer.stop()
    issuer.seconds += 3600
    assert await keys.key(str(EC.kid)) == before is not None


@pytest.mark.parametrize(("status", "body"), [("500 Oops", jwks(ED)), ("200 OK", b"<html>"), ("302 Found", b"")])
async def test_the_old_keys_hold_while_the_issuer_answers_nonsense(issuer: KeyServer, status: str, body: bytes) -> None:
    keys = issuer.keys()
    before = await keys.key(str(EC.kid))
    issuer.status, issuer.body = status, body
    issuer.seconds += 3600
    assert await keys.key(str(EC.kid)) == before is not None
    assert issuer.asked == 2


async def test_an_issuer_that_starts_late_is_found_within_a_second(issuer: KeyServer) -> None:
    issuer.status = "503 Service Unavailable"
    keys = issuer.keys()
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await keys.key(str(EC.kid))
    assert issuer.asked == 1
    issuer.status = "200 OK"
    issuer.seconds += 1
    assert await keys.key(str(EC.kid)) is not None


async def test_many_at_once_ask_the_issuer_once_and_only_one_waits_for_a_refresh(issuer: KeyServer) -> None:
    keys = issuer.keys()
    assert None not in await asyncio.gather(*(keys.key(str(EC.kid)) for _ in range(20)))
    assert issuer.asked == 1
    issuer.delay, issuer.arrived = asyncio.Event(), asyncio.Event()
    issuer.seconds += 600
    refreshing = asyncio.create_task(keys.key(str(EC.kid)))
    async with asyncio.timeout(5):
        await issuer.arrived.wait()
        assert await keys.key(str(EC.kid)) is not None
    assert not refreshing.done()
    issuer.delay.set()
    assert await refreshing is not None


async def test_the_development_issuers_tokens_are_honoured(tmp_path: Path, day: Day) -> None:
    issuing = Issuer.load(tmp_path / "keys")
    verifier = Verifier(FileKeys(issuing.jwks), ISSUER, AUDIENCE, now=day)
    assert await verifier.verify(issuing.token("anna", now=NOON)) == Caller("anna")
    assert await refusal(verifier, issuing.token("anna", now=NOON, minutes=16)) == "lifetime"
    assert await refusal(verifier, Issuer.load(tmp_path / "others").token("anna", now=NOON)) == "unknown-key"


async def test_the_development_issuer_keeps_its_key_over_a_restart(tmp_path: Path, day: Day) -> None:
    first = Issuer.load(tmp_path)
    token, published = first.token("anna", now=NOON), first.jwks.read_bytes()
    changed = first.jwks.stat().st_mtime_ns
    again = Issuer.load(tmp_path)
    assert (again.jwks.read_bytes(), again.jwks.stat().st_mtime_ns) == (published, changed)
    assert await Verifier(FileKeys(again.jwks), ISSUER, AUDIENCE, now=day).verify(token) == Caller("anna")


async def test_a_lost_or_foreign_public_key_file_is_made_again(tmp_path: Path) -> None:
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
    for shown in (issuing.jwks.read_text(), repr(issuing)):
        assert private["d"] not in shown
