"""The installation's key for names that nobody may guess: ids of events, and idempotency keys as they are stored.

An event's id goes to everybody who may read the event. Where it was a plain hash of an idempotency key, the key, and a
patient's number in it, was found by trying. All services of an installation have the same key, in a file of its own.
It is part of the backup and never changes: without it a request that is sent again is not recognized.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from uuid import UUID

from shared.security.vault import KEY_BYTES, BadKeyFile, read_key

_ID_BYTES = 8
_VERSION, _VARIANT = 0x8 << 76, 0x2 << 62
_IDEMPOTENCY_KEY_SCOPE = "\0idempotency-key"
"""Scopes of event ids begin with a study's id: none begins like this."""


class EventKey:
    """It shows its secret to nobody. `id` tells one key from another."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise BadKeyFile(f"A key for event ids has {KEY_BYTES} bytes.")
        self._secret = secret
        self.id = self._digest("\0id")[:_ID_BYTES]

    @classmethod
    def load(cls, path: Path) -> EventKey:
        """Read 32 bytes in base64; raises BadKeyFile."""
        return cls(read_key(path))

    def event_id(self, scope: str, index: int) -> UUID:
        """A version 8 UUID (RFC 9562) from the first 128 bits of HMAC-SHA256: the same for the same request."""
        value = int.from_bytes(self._digest(f"{scope}/{index}")[:16], "big")
        value = (value & ~(0xF << 76)) | _VERSION
        return UUID(int=(value & ~(0x3 << 62)) | _VARIANT)

    def stored_key(self, service: str, study_id: str, key: str) -> str:
        """An idempotency key as it is stored. It has a space, which no key in clear can have."""
        return f"hmac {self._digest(f'{_IDEMPOTENCY_KEY_SCOPE}/{service}/{study_id}/{key}').hex()}"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(), "sha256")

    def __repr__(self) -> str:
        return f"EventKey({self.id.hex()})"
