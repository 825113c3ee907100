"""Signs access tokens (RFC 9068), which every service verifies by the public keys of their issuer."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import uuid4

from joserfc import jws
from joserfc.jwk import ECKey

from shared.security.tokens import MAX_LIFETIME_SECONDS

ALGORITHM = "ES256"


def generate_signing_key() -> ECKey:
    """Generates a key pair for ES256; its id is the thumbprint (RFC 7638)."""
    return ECKey.generate_key("P-256", {"alg": ALGORITHM, "use": "sig"}, auto_kid=True)


def sign_access_token(
    key: ECKey,
    *,
    issuer: str,
    audience: str,
    subject: str,
    client_id: str,
    now: datetime,
    seconds: int = MAX_LIFETIME_SECONDS,
    signed_in_at: datetime | None = None,
) -> str:
    """Returns a token that is valid for `seconds` from `now`.

    Services refuse a token that is valid for longer than 15 minutes. `signed_in_at` is the time at which the person
    signed in (`auth_time`).
    """
    issued = int(now.timestamp())
    header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}
    claims = {"iss": issuer, "aud": audience, "sub": subject, "iat": issued, "exp": issued + seconds}
    optional_claims = {"auth_time": int(signed_in_at.timestamp())} if signed_in_at else {}
    payload = {**claims, **optional_claims, "jti": str(uuid4()), "client_id": client_id}
    return jws.serialize_compact(header, json.dumps(payload), key, [ALGORITHM])
