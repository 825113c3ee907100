"""Secrets of links: derived from one key, so that a copy of the database opens none of them. Pure but for the key file.

Each purpose has its own name in the derivation, so that no secret of one is valid for another.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime
from pathlib import Path
from uuid import UUID

from shared.security.vault import KEY_BYTES, BadKeyFile, read_key

_SECRET_CHARACTERS = 22
"""Characters of base64url that hold 132 bits."""
_CONFIRMATION = re.compile(r"([0-9a-f]{32})\.([0-9]{1,11})\.([A-Za-z0-9_-]{22})", re.ASCII)


class LinksKey:
    """The secret key that links are derived with. It is not readable."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise BadKeyFile(f"A key for links has {KEY_BYTES} bytes.")
        self._secret = secret

    @classmethod
    def load(cls, path: Path) -> LinksKey:
        """Reads 32 bytes in base64; raises BadKeyFile."""
        return cls(read_key(path))

    def calendar_secret(self, study_id: str, member: str, generation: int) -> str:
        """Returns the secret of a member's calendar; another generation gives another one."""
        return self._derive("calendar", study_id, member, str(generation))

    def confirmation_token(self, request_id: UUID, expires_at: datetime) -> str:
        """Returns the token of the link that confirms an address. It holds neither the address nor the member."""
        expiry = int(expires_at.timestamp())
        return f"{request_id.hex}.{expiry}.{self._derive('confirmation', request_id.hex, str(expiry))}"

    def read_confirmation(self, token: str, now: datetime) -> UUID | None:
        """Returns the request that a token confirms; None if the token is forged, changed or expired."""
        match = _CONFIRMATION.fullmatch(token)
        if match is None:
            return None
        request_id, expiry, signature = match.groups()
        expected = self._derive("confirmation", request_id, expiry)
        is_valid = hmac.compare_digest(expected, signature) and now.timestamp() < int(expiry)
        return UUID(request_id) if is_valid else None

    def _derive(self, purpose: str, *parts: str) -> str:
        digest = hmac.digest(self._secret, "\0".join((purpose, *parts)).encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode()[:_SECRET_CHARACTERS]

    def __repr__(self) -> str:
        return "LinksKey()"
