"""Encryption of what the database alone must not reveal: sealed texts, blind indices, fingerprints.

Every participant has a data key in each service. It is stored wrapped by the key-encryption key, which is never in the
database. Destroying the wrapped key destroys the texts, although ciphertext stays in backups and in the audit log.

Byte strings that are encrypted, authenticated or hashed together are joined with the length of each in front
(`_join_with_lengths`), so that different lists of parts never give the same bytes. Nonces are random: 96 bits suffice
for 2**32 messages under one key (NIST SP 800-38D, section 8.3), far more than a participant or an installation has.
"""

from __future__ import annotations

import base64
import hmac
import os
import tempfile
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
UNWRAPPED_KEY_CACHE_SIZE = 1024

_FORMAT = b"\x01"
_KEK_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_LENGTH_BYTES = 4


class VaultError(Exception):
    """Base of TamperedCiphertext, UnknownKey and BadKeyFile. No message quotes a text or a key."""


class TamperedCiphertext(VaultError):
    """The bytes were changed, or were sealed for another place or under another key."""


class UnknownKey(VaultError):
    """The data key was wrapped by another key-encryption key."""


class BadKeyFile(VaultError):
    """A key file is missing, unreadable, or not 32 bytes in base64."""


def make_key_file(path: Path) -> None:
    """Writes a new random key unless the file exists: overwriting a key would lose everything encrypted with it."""
    write_once(path, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")


def write_once(path: Path, content: bytes) -> None:
    """Writes a private file (mode 0600) atomically and durably, unless it exists."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_key(path: Path) -> bytes:
    """Returns the bytes of a key file in base64. Raises BadKeyFile."""
    try:
        return base64.b64decode(path.read_bytes().strip(), validate=True)
    except (OSError, ValueError) as error:
        raise BadKeyFile(f"The key file cannot be used ({type(error).__name__}): {path}") from None


class KeyEncryptionKey:
    """The main secret of an installation, from which a key for each use is derived (HKDF)."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise BadKeyFile(f"A key-encryption key has {KEY_BYTES} bytes.")
        self._secret = secret
        self.id = self.derive("id")[:_KEK_ID_BYTES]

    @classmethod
    def load(cls, path: Path) -> KeyEncryptionKey:
        """Reads 32 bytes in base64; raises BadKeyFile."""
        return cls(read_key(path))

    def derive(self, purpose: str, *context: str) -> bytes:
        """Returns 32 bytes for one purpose in one context (RFC 5869), independent of those for any other."""
        info = _join_with_lengths(b"quartal", _encode(purpose), *map(_encode, context))
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._secret)

    def __repr__(self) -> str:
        return f"KeyEncryptionKey({self.id.hex()})"


class DataKey:
    """The key of the texts of one participant in one service. The secret is not readable."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)

    def encrypt(self, text: bytes, associated_data: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text, associated_data)

    def decrypt(self, box: bytes, associated_data: bytes) -> bytes:
        if len(box) < _NONCE_BYTES + _TAG_BYTES:
            raise TamperedCiphertext("A box is too short.")
        try:
            return self._cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], associated_data)
        except InvalidTag:
            raise TamperedCiphertext("A box does not open here.") from None


class Vault:
    """Seals under one key-encryption key.

    A wrapped data key is: format (1 byte) · id of the key-encryption key (8) · nonce (12) · AES-256-GCM of the
    32 bytes with the first 9 as associated data (48).

    Sealed texts are: format (1 byte) · joined(contents, box, box, …), where contents = joined(field, field, …) in
    the order of the field names, and a box is nonce (12) · AES-256-GCM of the field's text in UTF-8. The associated
    data of a box are joined("quartal.sealed", format, contents, study, stream, version (8 bytes, big-endian), field):
    a box opens at its own place only, and none can be left out. `joined` puts 4 bytes of length before each part.
    Field names (JSON pointers, no patient data) and the lengths of texts stay visible.
    """

    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._kek = kek
        self._wrapping_key = DataKey(kek.derive("wrap"))
        self._fingerprint_key = kek.derive("fingerprint")
        self._cached_unwrap = lru_cache(maxsize=UNWRAPPED_KEY_CACHE_SIZE)(self._unwrap)
        self._index_key = lru_cache(maxsize=UNWRAPPED_KEY_CACHE_SIZE)(kek.derive)

    def new_data_key(self) -> bytes:
        """Returns a new data key, wrapped for storage."""
        head = _FORMAT + self._kek.id
        return head + self._wrapping_key.encrypt(os.urandom(KEY_BYTES), head)

    def unwrap(self, wrapped: bytes) -> DataKey:
        """Returns the data key, cached by its wrapped bytes. Raises UnknownKey, TamperedCiphertext."""
        return self._cached_unwrap(wrapped)

    def _unwrap(self, wrapped: bytes) -> DataKey:
        head, box = wrapped[: 1 + _KEK_ID_BYTES], wrapped[1 + _KEK_ID_BYTES :]
        if head[:1] != _FORMAT:
            raise TamperedCiphertext("That is no wrapped data key.")
        if head[1:] != self._kek.id:
            raise UnknownKey("The data key is wrapped by another key-encryption key.")
        return DataKey(self._wrapping_key.decrypt(box, head))

    def seal(
        self, data_key: DataKey, texts: Mapping[str, str], *, study_id: str, stream_id: str, version: int
    ) -> bytes:
        """Encrypts each text separately, bound to its place. `texts`: text by JSON pointer of the field."""
        fields = sorted(map(_encode, texts))
        location = _location(_join_with_lengths(*fields), study_id, stream_id, version)
        plaintexts = {_encode(field): _encode(text) for field, text in texts.items()}
        boxes = [data_key.encrypt(plaintexts[field], location + _join_with_lengths(field)) for field in fields]
        return _FORMAT + _join_with_lengths(_join_with_lengths(*fields), *boxes)

    def open(self, data_key: DataKey, sealed: bytes, *, study_id: str, stream_id: str, version: int) -> dict[str, str]:
        """Returns the texts by field. Raises TamperedCiphertext unless all were sealed for it under this key."""
        if not sealed.startswith(_FORMAT) or not (parts := _split_by_lengths(sealed[1:])):
            raise TamperedCiphertext("Those are no sealed texts.")
        contents, *boxes = parts
        if len(fields := _split_by_lengths(contents)) != len(boxes):
            raise TamperedCiphertext("Some texts were left out or added.")
        location = _location(contents, study_id, stream_id, version)
        plaintexts = [
            data_key.decrypt(box, location + _join_with_lengths(field))
            for field, box in zip(fields, boxes, strict=True)
        ]
        return {_decode(field): _decode(text) for field, text in zip(fields, plaintexts, strict=True)}

    def blind_index(self, study_id: str, site_id: str, reference: str) -> bytes:
        """Returns 32 bytes that are equal for equal references of one site, and reveal nothing without the key."""
        key = self._index_key("blind-index", study_id, site_id)
        return hmac.digest(key, _encode(normalize_reference(reference)), "sha256")

    def fingerprint(self, *parts: bytes) -> bytes:
        """Returns 32 bytes that are equal for equal parts, and cannot be searched by trial without the key."""
        return hmac.digest(self._fingerprint_key, _join_with_lengths(*parts), "sha256")


def normalize_reference(reference: str) -> str:
    """Returns the reference in NFKC, case-folded, with single spaces and none at the ends."""
    normalized = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", reference).casefold())
    return " ".join(normalized.split())


def _location(contents: bytes, study_id: str, stream_id: str, version: int) -> bytes:
    version_bytes = version.to_bytes(8, "big")
    return _join_with_lengths(
        b"quartal.sealed", _FORMAT, contents, _encode(study_id), _encode(stream_id), version_bytes
    )


def _join_with_lengths(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)


def _split_by_lengths(data: bytes) -> list[bytes]:
    """Inverts `_join_with_lengths`. Raises TamperedCiphertext for bytes that it cannot produce."""
    parts, offset = [], 0
    while offset < len(data):
        start = offset + _LENGTH_BYTES
        offset = start + int.from_bytes(data[offset:start], "big")
        parts.append(data[start:offset])
    if offset != len(data):
        raise TamperedCiphertext("The lengths do not add up.")
    return parts


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # every JSON string can be sealed, lone surrogates too


def _decode(encoded: bytes) -> str:
    return encoded.decode(errors="surrogatepass")
