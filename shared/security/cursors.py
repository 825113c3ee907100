"""Encrypts the cursors that clients keep, so that they can be neither read, nor forged, nor used in another context.

The numbers in a cursor count the events of all studies. Encryption is AES-SIV (RFC 5297) with a derived key; it is
deterministic, so that an unchanged response has the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.security.vault import KeyEncryptionKey

MAX_CURSOR_LENGTH = 6000
"""Characters. A snapshot names every running transaction, with about ten characters each."""


class BadCursor(ValueError):
    """The text is no cursor of this installation, or belongs to another context."""


class CursorCipher:
    """Seals lists of values as texts for URLs."""

    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._cipher = AESSIV(kek.derive("cursors"))

    def seal(self, context: Sequence[str], values: Sequence[str | int]) -> str:
        """Returns the cursor's text, which opens only with the same context."""
        box = self._cipher.encrypt(json.dumps(list(values)).encode(), [part.encode() for part in context])
        return base64.urlsafe_b64encode(box).decode().rstrip("=")

    def open(self, context: Sequence[str], text: str) -> list[str | int]:
        """Returns the values of a cursor. Raises BadCursor."""
        try:
            box = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            values: list[str | int] = json.loads(self._cipher.decrypt(box, [part.encode() for part in context]))
        except (ValueError, InvalidTag):
            raise BadCursor from None
        return values
