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

from infra.issuer import ALGORITHM, AUDIENCE, ISSUER
from shared.kernel.clock import Clock
from shared.security.token_reasons import SENTENCES
from shared.security.tokens import Reason
from shared.testing import facts
from tests.api.own_study import PATIENCE, alike, body
from tests.demo import Demo


def signed(demo: Demo, header: dict[str, Any] | None = None, key: ECKey | None = None, **claims: Any) -> str:
    """A token of the demo's issuer, but for what is said."""
    own = ECKey.import_key(json.loads((demo.data / "issuer" / "issuer.json").read_bytes()))
    now = int(Clock().now().timestamp())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "site@site-01.atc-rt", "iat": now, "exp": now + 600, **claims}
    made = {"alg": ALGORITHM, "typ": "at+jwt", "kid": own.kid, **(header or {})}
    return jws.serialize_compact(made, json.dumps(said), key or own, [ALGORITHM])


def unsigned(demo: Demo, algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    """The demo's own token with another algorithm in its header, and another signature."""
    header, payload, _ = signed(demo).split(".")
    said = {**json.loads(base64.urlsafe_b64decode(header + "==")), "alg": algorithm}
    head = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=") + b"." + payload.encode()
    return (head + b"." + base64.urlsafe_b64encode(sign(head)).rstrip(b"=")).decode()


def with_public_key(demo: Demo) -> Callable[[bytes], bytes]:
    """HS256 with the bytes that everybody can read: what a careless library verifies."""
    public = (demo.data / "issuer" / "jwks.json").read_bytes()
    pem = ECKey.import_key(json.loads(public)["keys"][0]).as_pem(private=False)
    return lambda head: hmac.digest(pem, head, hashlib.sha256)


def expired(demo: Demo) -> str:
    past = int((Clock().now() - timedelta(minutes=20)).timestamp())
    return signed(demo, iat=past, exp=past + 600)


BAD_TOKENS: dict[str, Callable[[Demo], str]] = {
    "none": lambda demo: "",
    "no token": lambda demo: "Bearer",
    "no scheme": signed,
    "another scheme": lambda demo: f"Basic {signed(demo)}",
    "nonsense": lambda demo: "Bearer a.b.c",
    "expired": lambda demo: f"Bearer {expired(demo)}",
    "alg none": lambda demo: f"Bearer {unsigned(demo, 'none', lambda _: b'')}",
    "alg NONE": lambda demo: f"Bearer {unsigned(demo, 'NONE', lambda _: b'')}",
    "HS256 with the public key": lambda demo: f"Bearer {unsigned(demo, 'HS256', with_public_key(demo))}",
    "another audience": lambda demo: f"Bearer {signed(demo, aud='somebody-else')}",
    "another issuer": lambda demo: f"Bearer {signed(demo, iss='https://elsewhere.example')}",
    "another kid": lambda demo: f"Bearer {signed(demo, {'kid': 'other'})}",
    "an id token": lambda demo: f"Bearer {signed(demo, {'typ': 'JWT'})}",
    "another key": lambda demo: f"Bearer {signed(demo, key=ECKey.generate_key('P-256'))}",
    "too long a life": lambda demo: f"Bearer {signed(demo, exp=int(Clock().now().timestamp()) + 86400)}",
    "not valid yet": lambda demo: f"Bearer {signed(demo, nbf=int(Clock().now().timestamp()) + 300)}",
    "no subject": lambda demo: f"Bearer {signed(demo, sub='')}",
    "huge": lambda demo: f"Bearer {'a' * 9000}",
}


REASONS: dict[str, Reason] = {
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
"""What is said of a bad token; of the others, that are no bearer token, only that one is needed."""


@pytest.fixture(scope="module")
def plain(demo: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo.url, timeout=PATIENCE, trust_env=False) as http:
        yield http


def test_a_token_of_the_issuer_is_recognised(demo: Demo, plain: httpx.Client) -> None:
    for path in ASKED:
        assert plain.get(path, headers={"Authorization": f"bearer {signed(demo)}"}).status_code == 200


ASKED = ("/enrollment/v1/studies/atc-rt/participants", "/analytics/v1/studies/atc-rt/figures/flow.json")


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_does_not_hold_is_not_recognised(demo: Demo, plain: httpx.Client, kind: str) -> None:
    said = {"Authorization": BAD_TOKENS[kind](demo)} if kind != "none" else {}
    answers = [plain.get(path, headers=said) for path in ASKED]
    answers.append(plain.post(f"{ASKED[0]}?dry_run=true", content=b"not even JSON", headers=said))
    answers.append(plain.get(ASKED[1], headers={**said, "Accept": "text/html;q=0.9, application/problem+json"}))
    reason = REASONS.get(kind)
    for answer in answers:
        assert answer.status_code == 401
        assert challenged(answer.headers["WWW-Authenticate"]) == (SENTENCES[reason] if reason else None)
    for answer in answers[:-1]:
        assert answer.json()["type"] == "/problems/not-recognised"
        assert answer.json()["errors"][0]["code"] == (f"token-{reason}" if reason else "no-token")
        assert alike(answer, answers[0])


def test_two_authorization_headers_are_refused(demo: Demo, plain: httpx.Client) -> None:
    twice = [("Authorization", f"Bearer {signed(demo)}"), ("Authorization", f"Bearer {signed(demo)}")]
    answer = plain.get(ASKED[0], headers=twice)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "token-several")


def challenged(header: str) -> str | None:
    """The description of the challenge, None where it has no error."""
    if header == "Bearer":
        return None
    found = re.fullmatch(r'Bearer error="invalid_token", error_description="([ !#-\[\]-~]+)"', header)
    assert found, header
    return found[1]


def test_the_reason_is_counted_and_logged_without_token_and_subject(demo: Demo, plain: httpx.Client) -> None:
    before = refused(plain, "audience")
    token = signed(demo, aud="somebody-else", sub="zz-subject-of-the-test")
    assert plain.get(ASKED[0], headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert refused(plain, "audience") == before + 1
    logs = b"".join(log.read_bytes() for log in demo.data.rglob("*.log"))
    assert b"token refused: audience" in logs
    assert token.encode() not in logs
    assert b"zz-subject-of-the-test" not in logs


def refused(plain: httpx.Client, reason: str) -> float:
    counter = re.compile(
        rf'^quartal_tokens_refused_total{{reason="{reason}",service="enrollment"}} (.+)$', re.MULTILINE
    )
    found = counter.search(plain.get("/metrics").text)
    return float(found[1]) if found else 0.0


def test_a_token_in_the_query_does_not_count(demo: Demo, plain: httpx.Client) -> None:
    for path in ASKED:
        for name in ("access_token", "token", "authorization"):
            assert plain.get(path, params={name: signed(demo)}).status_code == 401


def test_a_cookie_reads_pages_and_states_nothing(demo: Demo, plain: httpx.Client) -> None:
    cookie = {"Cookie": f"quartal_session={signed(demo)}"}
    assert plain.get(ASKED[1], headers=cookie).status_code == 200
    assert plain.get(ASKED[0], headers=cookie).status_code == 401
    for address in (ASKED[0], "/enrollment/v1/studies", ASKED[1]):
        answer = plain.post(address, json=body(facts.screened(site_id="site-01")), headers=cookie)
        assert answer.status_code in (401, 405)
