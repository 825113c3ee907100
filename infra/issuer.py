"""The development issuer: signs access tokens with a key in the data folder. Deployments use an issuer of their own."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from joserfc import jws
from joserfc.jwk import ECKey

from shared.security.vault import write_once

ISSUER = "quartal-development"
AUDIENCE = "quartal"
ALGORITHM = "ES256"


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
            write_once(private, _encode_json(_new_key().as_dict(private=True)))
        key = ECKey.import_key(json.loads(private.read_bytes()))
        _publish(public, _encode_json({"keys": [key.as_dict(private=False)]}))
        return cls(public, key)

    def token(self, subject: str, *, now: datetime, minutes: int = 15) -> str:
        """Returns an access token (RFC 9068). Services refuse a token that is valid for more than 15 minutes."""
        issued = int(now.timestamp())
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self._key.kid}
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": issued, "exp": issued + 60 * minutes}
        identified = {**claims, "jti": str(uuid4()), "client_id": ISSUER}
        return jws.serialize_compact(header, json.dumps(identified), self._key, [ALGORITHM])


def _new_key() -> ECKey:
    return ECKey.generate_key("P-256", {"alg": ALGORITHM, "use": "sig"}, auto_kid=True)


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
