"""ID tokens that are accepted or refused. The tokens are signed here, since no certified provider issues a bad one."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest

from services.enrollment.sign_in.id_token import BadIdToken, ExpectedClaims, verify_id_token
from shared.security.issuer_keys import PublicKey, parse_keys
from tests.unit.security.signed_tokens import (
    EC,
    EC_OTHER,
    ED,
    NOON,
    NOW,
    RSA,
    base64url,
    jwks,
    sign_token,
    without,
)

PROVIDER, CLIENT = "https://elsewhere.example", "quartal"
EXPECTED = ExpectedClaims(issuer=PROVIDER, client_id=CLIENT, nonce="n-0", access_token="")
HEADER = {"alg": "RS256", "kid": RSA.kid}
CLAIMS = {"iss": PROVIDER, "aud": CLIENT, "sub": "anna", "iat": NOW, "exp": NOW + 300, "nonce": "n-0"}


class KnownKeys:
    """The keys of a provider."""

    def __init__(self) -> None:
        self._keys = parse_keys(jwks(RSA, EC, ED))

    async def key(self, kid: str) -> PublicKey | None:
        return self.known_key(kid)

    def known_key(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid)


async def subject_or_reason(token: str, expected: ExpectedClaims = EXPECTED) -> str:
    try:
        return await verify_id_token(token, KnownKeys(), expected, now=NOON)
    except BadIdToken as error:
        return f"refused: {error.reason}"


def sign(claims: Mapping[str, Any]) -> str:
    return sign_token(HEADER, dict(claims), RSA, "RS256")


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_token_of_each_algorithm_names_its_subject(key: Any, algorithm: str) -> None:
    token = sign_token({"alg": algorithm, "kid": key.kid}, CLAIMS, key, algorithm)
    assert await subject_or_reason(token) == "anna"


@pytest.mark.parametrize(
    "accepted",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"azp": CLIENT},
        {"iat": NOW + 4},
        {"exp": NOW - 4},
        {"auth_time": NOW - 9, "sid": "s", "amr": ["pwd"], "acr": "1"},
    ],
)
async def test_token_with_these_claims_is_accepted(accepted: dict[str, Any]) -> None:
    assert await subject_or_reason(sign({**CLAIMS, **accepted})) == "anna"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://x.example"}, "iss"),
        ({"iss": f"{PROVIDER}/"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": ["another"]}, "aud"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"nonce": "n-1"}, "nonce"),
        ({"exp": NOW - 6}, "exp"),
        ({"iat": NOW + 60}, "iat"),
        ({"nbf": NOW + 60}, "nbf"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "a" * 256}, "sub"),
        ({"sub": "anna\n"}, "sub"),
    ],
)
async def test_token_with_these_claims_is_refused(changes: dict[str, Any], reason: str) -> None:
    answer = await subject_or_reason(sign({**CLAIMS, **changes}))
    assert answer.startswith("refused: ")
    assert reason in answer


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "nonce"])
async def test_token_without_a_required_claim_is_refused(claim: str) -> None:
    assert (await subject_or_reason(sign(without(CLAIMS, claim)))).startswith("refused: ")


async def test_token_of_several_audiences_names_the_one_that_it_was_issued_to() -> None:
    assert (await subject_or_reason(sign({**CLAIMS, "aud": [CLIENT, "another"]}))).startswith("refused: ")


async def test_renewed_token_needs_no_nonce() -> None:
    expected = ExpectedClaims(issuer=PROVIDER, client_id=CLIENT, nonce="", access_token="")
    assert await subject_or_reason(sign(without(CLAIMS, "nonce")), expected) == "anna"


async def test_token_belongs_to_the_access_token_beside_it() -> None:
    expected = ExpectedClaims(issuer=PROVIDER, client_id=CLIENT, nonce="n-0", access_token="one")
    assert (
        await subject_or_reason(sign({**CLAIMS, "at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), expected)
    ) == "refused: at_hash"


async def test_token_without_a_good_signature_is_refused() -> None:
    head, body, signature = sign(CLAIMS).split(".")
    confused = f"{encode_header('HS256')}.{body}"
    by_public_key = base64url(hmac.digest(RSA.as_pem(private=False), confused.encode(), "sha256"))
    altered = f"{signature[:-4]}AAAA"
    unsigned = f"{encode_header('none')}.{body}."
    for token in (f"{confused}.{by_public_key}", unsigned, f"{head}.{body}.", f"{head}.{body}.{altered}"):
        assert (await subject_or_reason(token)).startswith("refused: ")


def encode_header(algorithm: str) -> str:
    return base64url(json.dumps({"alg": algorithm, "kid": RSA.kid}).encode())


async def test_token_of_an_unknown_key_or_another_algorithm_is_refused() -> None:
    unknown = sign_token({"alg": "ES256", "kid": EC_OTHER.kid}, CLAIMS, EC_OTHER, "ES256")
    assert await subject_or_reason(unknown) == "refused: unknown-key"
    assert await subject_or_reason(sign_token({"alg": "RS256"}, CLAIMS, RSA, "RS256")) == "refused: unknown-key"
    other = sign_token({"alg": "RS512", "kid": RSA.kid}, CLAIMS, RSA, "RS512")
    assert await subject_or_reason(other) == "refused: algorithm"
    several = sign_token({"alg": ["RS256"], "kid": RSA.kid}, CLAIMS, RSA, "RS256")
    assert await subject_or_reason(several) == "refused: algorithm"


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.b.c", "W10.W10.W10", "e30.e30.e30", "x" * 100_000])
async def test_text_that_is_no_token_is_refused(token: str) -> None:
    assert (await subject_or_reason(token)).startswith("refused: ")
