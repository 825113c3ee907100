"""Verification of ID tokens (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from shared.security.issuer_keys import KeySource, PublicKey
from shared.security.tokens import CLOCK_LEEWAY_SECONDS, AlgorithmRegistry, is_subject

MAX_ID_TOKEN_LENGTH = 64 * 1024
_REGISTRY = AlgorithmRegistry(strict_check_header=False)


class BadIdToken(Exception):
    """The ID token is refused. `reason` is a code; the token is never quoted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedClaims:
    """The values that a token must carry. An empty nonce is not compared: renewals have none."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str


async def verify_id_token(token: str, keys: KeySource, expected: ExpectedClaims, *, now: datetime) -> str:
    """Returns the subject of a token of this issuer, for this client and this sign-in.

    Raises BadIdToken, KeysUnavailable.
    """
    header = _parse_header(token)
    key = await keys.key(str(header.get("kid")))
    if key is None:
        raise BadIdToken("unknown-key")
    claims = _signed_claims(token, header, key)
    _validate(claims, header, expected, int(now.timestamp()))
    subject = claims.get("sub")
    if not is_subject(subject):
        raise BadIdToken("subject")
    return subject


def _parse_header(token: str) -> dict[str, Any]:
    try:
        header = json.loads(urlsafe_b64decode(token[:MAX_ID_TOKEN_LENGTH].encode("ascii").partition(b".")[0]))
    except (ValueError, RecursionError):
        raise BadIdToken("malformed") from None
    if not isinstance(header, dict) or len(token) > MAX_ID_TOKEN_LENGTH:
        raise BadIdToken("malformed")
    return header


def _signed_claims(token: str, header: dict[str, Any], key: PublicKey) -> dict[str, Any]:
    if str(header.get("alg")) not in key.algorithms:
        raise BadIdToken("algorithm")
    try:
        claims = json.loads(jws.deserialize_compact(token, key.key, registry=_REGISTRY).payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise BadIdToken("signature") from None
    if not isinstance(claims, dict):
        raise BadIdToken("malformed")
    return claims


def _validate(claims: dict[str, Any], header: dict[str, Any], expected: ExpectedClaims, now: int) -> None:
    parameters = {"client_id": expected.client_id, "access_token": expected.access_token, "nonce": expected.nonce}
    options: dict[str, Any] = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.client_id},
    }
    try:
        CodeIDToken(claims, header, options, parameters).validate(now, CLOCK_LEEWAY_SECONDS)
    except JoseError as error:
        raise BadIdToken(str(getattr(error, "claim", "") or error.error)) from None
