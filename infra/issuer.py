"""The development issuer: signs access tokens with a key in the data folder. Deployments use an issuer of their own."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from shared.security.access_token import ALGORITHM, generate_signing_key, sign_access_token
from shared.security.vault import write_once
from shared.settings import DEVELOPMENT_ISSUER

ISSUER = DEVELOPMENT_ISSUER
AUDIENCE = "quartal"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A signing key, and the file of its public key (`jwks.json`), which QUARTAL_JWKS names."""

    jwks: Path
    _key: ECKey = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> Issuer:
        """Loads the issuer of that folder, made on first use: `issuer.json` (private) and `jwks.json` (public)."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private, public = folder / "issuer.json", folder / "jwks.json"
        if not private.exists():
            write_once(private, _encode_json(generate_signing_key().as_dict(private=True)))
        key = ECKey.import_key(json.loads(private.read_bytes()))
        _publish(public, _encode_json({"keys": [key.as_dict(private=False)]}))
        return cls(public, key)

    def token(self, subject: str, *, now: datetime, minutes: int = 15, signed_in_at: datetime | None = None) -> str:
        """Returns an access token (RFC 9068). Services refuse a token that is valid for more than 15 minutes.

        The token of a session has `signed_in_at`, the time at which the session began.
        """
        return sign_access_token(
            self._key,
            issuer=ISSUER,
            audience=AUDIENCE,
            subject=subject,
            client_id=ISSUER,
            now=now,
            seconds=60 * minutes,
            signed_in_at=signed_in_at,
        )

    def renew(self, token: str, *, now: datetime, after: timedelta, max_idle: timedelta, max_age: timedelta) -> str:
        """Returns a new token for a session's token that is older than `after`; an empty text for any other one.

        The session has ended if the token is as old as `max_idle`, or the sign-in as old as `max_age`.
        """
        try:
            claims = json.loads(jws.deserialize_compact(token, self._key, [ALGORITHM]).payload)
            issued_at, signed_in_at = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "auth_time"))
        except (JoseError, ValueError, KeyError):
            return ""
        if claims.get("iss") != ISSUER or not after < now - issued_at < max_idle or now - signed_in_at >= max_age:
            return ""
        return self.token(claims["sub"], now=now, signed_in_at=signed_in_at)


def _encode_json(document: object) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _publish(path: Path, content: bytes) -> None:
    """Replaces the file atomically, and only by other content: services read it again whenever it changes."""
    if path.exists() and path.read_bytes() == content:
        return
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, 0o644)
    os.replace(draft, path)
