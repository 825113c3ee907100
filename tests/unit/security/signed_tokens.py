"""Keys, signed tokens and a clock for the tests of token verification."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from infra.issuer import AUDIENCE, ISSUER
from shared.security.tokens import BadToken, Verifier

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EC, EC_OTHER = ECKey.generate_key("P-256", auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)
ED, RSA = OKPKey.generate_key("Ed25519", auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)
NOW = int(NOON.timestamp())
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
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna@site-01", "iat": NOW, "exp": NOW + 900, **members}


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in members.items() if member != name}


def sign_token(head: object, body: object, key: Key = EC, alg: str = "ES256") -> str:
    """Returns a token with any header and body; text is not encoded as JSON."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (head, body)]
    message = ".".join(base64url(part.encode()) for part in parts)
    return f"{message}.{base64url(JWSRegistry.algorithms[alg].sign(message.encode(), key))}"


@dataclass
class ManualClock:
    """A clock that a test advances."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def refusal_reason(verifier: Verifier, token: str) -> str:
    with pytest.raises(BadToken) as error:
        await verifier.verify(token)
    assert str(error.value) == error.value.reason
    return error.value.reason
