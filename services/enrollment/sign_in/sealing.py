"""Encryption of what a sign-in leaves behind: cookies under way, tokens of the provider, private keys."""

from __future__ import annotations

from typing import Final

from shared.security.vault import DataKey, KeyEncryptionKey

PENDING: Final = b"pending sign-in"
PROVIDER_TOKENS: Final = b"provider tokens"
PRIVATE_KEY: Final = b"private key"


class SignInCipher:
    """Seals bytes for one purpose and one owner under a key derived from the key-encryption key."""

    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._key = DataKey(kek.derive("sign-in"))

    def seal(self, purpose: bytes, owner: bytes, content: bytes) -> bytes:
        return self._key.encrypt(content, _place(purpose, owner))

    def open(self, purpose: bytes, owner: bytes, box: bytes) -> bytes:
        """Returns the content. Raises TamperedCiphertext for a box of another purpose, owner or installation."""
        return self._key.decrypt(box, _place(purpose, owner))


def _place(purpose: bytes, owner: bytes) -> bytes:
    return purpose + b"\0" + owner  # a purpose contains no zero
