"""Tokens that do not hold, and tokens in places where they do not count."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from infra.issuer import AUDIENCE, ISSUER
from shared.kernel.clock import Clock
from shared.security.access_token import ALGORITHM
from shared.security.token_reasons import SENTENCES
from shared.security.tokens import TokenRefusalReason
from shared.testing.builders import facts
from tests.api.support.study import TIMEOUT_SECONDS, body, is_indistinguishable
from tests.demo import Demo


def sign_token(demo: Demo, header: dict[str, Any] | None = None, key: ECKey | None = None, **claims: Any) -> str:
    """Signs a token of the demo's issuer, with these changes."""
    issuer_key = ECKey.import_key(json.loads((demo.data / "issuer" / "issuer.json").read_bytes()))
    now = int(Clock().now().timestamp())
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "site@site-01.atc-rt", "iat": now, "exp": now + 600, **claims}
    all_headers = {"alg": ALGORITHM, "typ": "at+jwt", "kid": issuer_key.kid, **(header or {})}
    return jws.serialize_compact(all_headers, json.dumps(all_claims), key or issuer_key, [ALGORITHM])


def token_with_algorithm(demo: Demo, algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    """The demo's own token with another algorithm in its header, and another signature."""
    header, payload, _ = sign_token(demo).split(".")
    new_header = {**json.loads(base64.urlsafe_b64decode(header + "==")), "alg": algorithm}
    signing_input = base64.urlsafe_b64encode(json.dumps(new_header).encode()).rstrip(b"=") + b"." + payload.encode()
    return (signing_input + b"." + base64.urlsafe_b64encode(sign(signing_input)).rstrip(b"=")).decode()


def sign_with_public_key(demo: Demo) -> Callable[[bytes], bytes]:
    """Returns a signer by HS256 with the public key as secret, a signature that a careless library accepts."""
    public = (demo.data / "issuer" / "jwks.json").read_bytes()
    pem = ECKey.import_key(json.loads(public)["keys"][0]).as_pem(private=False)
    return lambda head: hmac.digest(pem, head, hashlib.sha256)


def expired_token(demo: Demo) -> str:
    issued_at = int((Clock().now() - timedelta(minutes=20)).timestamp())
    return sign_token(demo, iat=issued_at, exp=issued_at + 600)


BAD_TOKENS: dict[str, Callable[[Demo], str]] = {
    "none": lambda demo: "",
    "no token": lambda demo: "Bearer",
    "no scheme": sign_token,
    "another scheme": lambda demo: f"Basic {sign_token(demo)}",
    "nonsense": lambda demo: "Bearer a.b.c",
    "expired": lambda demo: f"Bearer {expired_token(demo)}",
    "alg none": lambda demo: f"Bearer {token_with_algorithm(demo, 'none', lambda _: b'')}",
    "alg NONE": lambda demo: f"Bearer {token_with_algorithm(demo, 'NONE', lambda _: b'')}",
    "HS256 with the public key": lambda demo: (
        f"Bearer {token_with_algorithm(demo, 'HS256', sign_with_public_key(demo))}"
    ),
    "another audience": lambda demo: f"Bearer {sign_token(demo, aud='somebody-else')}",
    "another issuer": lambda demo: f"Bearer {sign_token(demo, iss='https://elsewhere.example')}",
    "another kid": lambda demo: f"Bearer {sign_token(demo, {'kid': 'other'})}",
    "an id token": lambda demo: f"Bearer {sign_token(demo, {'typ': 'JWT'})}",
    "another key": lambda demo: f"Bearer {sign_token(demo, key=ECKey.generate_key('P-256'))}",
    "too long a life": lambda demo: f"Bearer {sign_token(demo, exp=int(Clock().now().timestamp()) + 86400)}",
    "not valid yet": lambda demo: f"Bearer {sign_token(demo, nbf=int(Clock().now().timestamp()) + 300)}",
    "no subject": lambda demo: f"Bearer {sign_token(demo, sub='')}",
    "huge": lambda demo: f"Bearer {'a' * 9000}",
}


EXPECTED_REASONS: dict[str, TokenRefusalReason] = {
    "nonsense": "malformed",
    "expired": "expired",
    "alg none": "algorithm",
    "alg NONE": "algorithm",
    "HS256 with the public key": "algorithm",
    "another audience": "audience",
    "another issuer": "issuer",
    "another kid": "unknown-key",
    "an id token": "type",
    "another key": "signature",
    "too long a life": "lifetime",
    "not valid yet": "not-yet-valid",
    "no subject": "subject",
    "huge": "oversized",
}
"""Message about a bad token. The response to other credentials only asks for a bearer token."""


@pytest.fixture(scope="module")
def http(demo: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo.url, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        yield http


def test_valid_token_is_accepted(demo: Demo, http: httpx.Client) -> None:
    for path in PROTECTED_PATHS:
        assert http.get(path, headers={"Authorization": f"bearer {sign_token(demo)}"}).status_code == 200


PROTECTED_PATHS = ("/enrollment/v1/studies/atc-rt/participants", "/analytics/v1/studies/atc-rt/figures/flow.json")


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_invalid_token_is_401_with_its_reason(demo: Demo, http: httpx.Client, kind: str) -> None:
    authorization = {"Authorization": BAD_TOKENS[kind](demo)} if kind != "none" else {}
    responses = [http.get(path, headers=authorization) for path in PROTECTED_PATHS]
    responses.append(http.post(f"{PROTECTED_PATHS[0]}?dry_run=true", content=b"not even JSON", headers=authorization))
    responses.append(
        http.get(PROTECTED_PATHS[1], headers={**authorization, "Accept": "text/html;q=0.9, application/problem+json"})
    )
    reason = EXPECTED_REASONS.get(kind)
    for response in responses:
        assert response.status_code == 401
        assert challenge_description(response.headers["WWW-Authenticate"]) == (SENTENCES[reason] if reason else None)
    for response in responses[:-1]:
        assert response.json()["type"] == "/problems/not-recognised"
        assert response.json()["errors"][0]["code"] == (f"token-{reason}" if reason else "no-token")
        assert is_indistinguishable(response, responses[0])


def test_two_authorization_headers_are_rejected(demo: Demo, http: httpx.Client) -> None:
    headers = [("Authorization", f"Bearer {sign_token(demo)}"), ("Authorization", f"Bearer {sign_token(demo)}")]
    response = http.get(PROTECTED_PATHS[0], headers=headers)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (401, "token-several")


def challenge_description(header: str) -> str | None:
    """The description of the challenge, None where it has no error."""
    if header == "Bearer":
        return None
    match = re.fullmatch(r'Bearer error="invalid_token", error_description="([ !#-\[\]-~]+)"', header)
    assert match, header
    return match[1]


def test_rejection_reason_is_counted_and_logged_without_token_and_subject(demo: Demo, http: httpx.Client) -> None:
    before = count_refusals(http, "audience")
    token = sign_token(demo, aud="somebody-else", sub="zz-subject-of-the-test")
    assert http.get(PROTECTED_PATHS[0], headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert count_refusals(http, "audience") == before + 1
    logs = b"".join(log.read_bytes() for log in demo.data.rglob("*.log"))
    assert b"token refused: audience" in logs
    assert token.encode() not in logs
    assert b"zz-subject-of-the-test" not in logs


def count_refusals(http: httpx.Client, reason: str) -> float:
    counter = re.compile(
        rf'^quartal_tokens_refused_total{{reason="{reason}",service="enrollment"}} (.+)$', re.MULTILINE
    )
    match = counter.search(http.get("/metrics").text)
    return float(match[1]) if match else 0.0


def test_token_in_the_query_is_ignored(demo: Demo, http: httpx.Client) -> None:
    for path in PROTECTED_PATHS:
        for name in ("access_token", "token", "authorization"):
            assert http.get(path, params={name: sign_token(demo)}).status_code == 401


def test_session_cookie_authorizes_reading_pages_only(demo: Demo, http: httpx.Client) -> None:
    cookie = {"Cookie": f"quartal-session-{demo.port}={sign_token(demo)}"}
    assert http.get(PROTECTED_PATHS[1], headers=cookie).status_code == 200
    assert http.get(PROTECTED_PATHS[0], headers=cookie).status_code == 401
    for address in (PROTECTED_PATHS[0], "/enrollment/v1/studies", PROTECTED_PATHS[1]):
        response = http.post(address, json=body(facts.participant_screened(site_id="site-01")), headers=cookie)
        assert response.status_code in (401, 405)
