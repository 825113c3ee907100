"""Cursors that clients keep: nobody can read them, make one, or use one for something else.

They are encrypted with a derived key (AES-SIV, RFC 5297): the numbers within count the events of every study. The same
cursor is always the same text, so an answer that has not changed is the same answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.security.vault import KeyEncryptionKey

MAX_CURSOR_LENGTH = 6000
"""Characters. A snapshot names every transaction that is under way, about ten characters each."""


class BadCursor(ValueError):
    """The text is no cursor of this installation, or one for another place."""


class CursorCipher:
    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._cipher = AESSIV(kek.derive("cursors"))

    def seal(self, context: Sequence[str], values: Sequence[str | int]) -> str:
        """The cursor's text; it opens at its own place only."""
        box = self._cipher.encrypt(json.dumps(list(values)).encode(), [part.encode() for part in context])
        return base64.urlsafe_b64encode(box).decode().rstrip("=")

    def open(self, context: Sequence[str], text: str) -> list[str | int]:
        """Raises BadCursor."""
        try:
            box = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            values: list[str | int] = json.loads(self._cipher.decrypt(box, [part.encode() for part in context]))
        except (ValueError, InvalidTag):
            raise BadCursor from None
        return values
