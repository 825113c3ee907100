"""Tokens that are verified or refused: claims, headers, signatures, expiry, and the cache of verified tokens."""

from __future__ import annotations

import asyncio
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry

from infra.issuer import AUDIENCE, ISSUER
from shared.security import tokens
from shared.security.tokens import BadToken, Caller, Verifier
from tests.unit.security.signed_tokens import (
    EC,
    EC_OTHER,
    ED,
    NOON,
    NOW,
    RSA,
    ManualClock,
    base64url,
    jwks,
    refusal_reason,
    sign_token,
    token_claims,
    token_header,
    without,
    write,
)


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
    embedded_key = EC_OTHER.as_dict(private=False)
    under_known_id = sign_token(token_header(jwk=embedded_key), token_claims(), EC_OTHER)
    assert await refusal_reason(verifier, under_known_id) == "signature"
    under_its_own_id = sign_token(token_header(EC_OTHER, jwk=embedded_key), token_claims(), EC_OTHER)
    assert await refusal_reason(verifier, under_its_own_id) == "unknown-key"


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
    result = await subject_or_reason(verifier, sign_token({**token_header(), **head}, token_claims()))
    assert result in {"anna@site-01", "algorithm", "header", "signature", "type", "unknown-key"}


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


async def test_accepted_token_holds_until_it_expires(verifier: Verifier, clock: ManualClock) -> None:
    accepted = await verifier.accept(sign_token(token_header(), token_claims()))
    clock.advance(904.9)
    assert verifier.holds(accepted)
    clock.advance(0.1)
    assert not verifier.holds(accepted)


async def test_accepted_token_holds_until_its_key_is_removed(verifier: Verifier, key_file: Path) -> None:
    accepted = await verifier.accept(sign_token(token_header(), token_claims()))
    assert verifier.holds(accepted)
    write(key_file, jwks(ED))
    async with asyncio.timeout(5):
        while verifier.holds(accepted):  # noqa: ASYNC110 - the file is looked at a hundred times a second
            await asyncio.sleep(0.001)


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
    await verifier.verify(first)  # the token unused for longest left the cache for the third
    assert len(verified) == 4
