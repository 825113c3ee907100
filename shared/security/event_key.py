"""The installation's key for identifiers that must not be guessable: ids of events, and stored idempotency keys.

Everybody who may read an event gets its id. If the id were a plain hash of an idempotency key, the key, and a
patient's number in it, could be found by trial. All services of an installation share this key, in a file of its own.
The key belongs to the backup and never changes: without it a repeated request is not recognized.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from uuid import UUID

from shared.security.vault import KEY_BYTES, BadKeyFile, read_key

_ID_BYTES = 8
_VERSION, _VARIANT = 0x8 << 76, 0x2 << 62
_IDEMPOTENCY_KEY_SCOPE = "\0idempotency-key"
"""Differs from every scope of event ids, which begin with a study's id."""

_OPENING_KEY_SCOPE = "\0opening-key"


class EventKey:
    """A secret key with an `id` that identifies it. The secret is not readable."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise BadKeyFile(f"A key for event ids has {KEY_BYTES} bytes.")
        self._secret = secret
        self.id = self._digest("\0id")[:_ID_BYTES]

    @classmethod
    def load(cls, path: Path) -> EventKey:
        """Reads 32 bytes in base64; raises BadKeyFile."""
        return cls(read_key(path))

    def event_id(self, scope: str, index: int) -> UUID:
        """Returns a version 8 UUID (RFC 9562) of the first 128 bits of HMAC-SHA256: equal for equal requests."""
        value = int.from_bytes(self._digest(f"{scope}/{index}")[:16], "big")
        value = (value & ~(0xF << 76)) | _VERSION
        return UUID(int=(value & ~(0x3 << 62)) | _VARIANT)

    def stored_key(self, service: str, study_id: str, key: str) -> str:
        """Returns an idempotency key as it is stored. It has a space, which no key in plain text has."""
        return f"hmac {self._digest(f'{_IDEMPOTENCY_KEY_SCOPE}/{service}/{study_id}/{key}').hex()}"

    def opening_key(self, service: str, member: str, key: str) -> str:
        """Returns the idempotency key of a member who opens a study, as it is stored for all studies together."""
        return f"hmac {self._digest(f'{_OPENING_KEY_SCOPE}/{service}/{member}/{key}').hex()}"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(), "sha256")

    def __repr__(self) -> str:
        return f"EventKey({self.id.hex()})"
