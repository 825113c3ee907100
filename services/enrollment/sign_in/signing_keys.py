"""The keys that sign the tokens of sessions: made here, sealed in the database, replaced every 30 days.

All processes of enrollment sign with the same key. A new key is published for a while before it signs, so that every
service has it when its first token arrives, and an old one until its last token has expired.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from joserfc.jwk import ECKey

from services.enrollment.sign_in.repository import KeyRepository, KeyRow
from services.enrollment.sign_in.sealing import PRIVATE_KEY, SignInCipher
from services.enrollment.sign_in.session_token import SessionToken
from shared.kernel.clock import Clock
from shared.security.access_token import generate_signing_key, sign_access_token
from shared.security.issuer_keys import KEY_SET_MAX_AGE_SECONDS
from shared.security.tokens import MAX_LIFETIME_SECONDS
from shared.security.vault import TamperedCiphertext

ROTATION_INTERVAL = timedelta(days=30)
PROPAGATION_TIME = timedelta(seconds=2 * KEY_SET_MAX_AGE_SECONDS)
"""Time until every service has read a new key: they read the key set every ten minutes."""
KEY_MAX_AGE = ROTATION_INTERVAL + PROPAGATION_TIME + timedelta(seconds=2 * MAX_LIFETIME_SECONDS)
CLIENT_ID = "quartal-session"


class SigningKeys:
    """The keys of one issuer."""

    def __init__(
        self, repository: KeyRepository, cipher: SignInCipher, *, issuer: str, audience: str, clock: Clock
    ) -> None:
        self._repository, self._cipher, self._clock = repository, cipher, clock
        self._issuer, self._audience = issuer, audience

    async def sign(self, subject: str, seconds: int) -> SessionToken:
        """Returns a token of this subject for so many seconds."""
        token = sign_access_token(
            await self._signing_key(),
            issuer=self._issuer,
            audience=self._audience,
            subject=subject,
            client_id=CLIENT_ID,
            now=self._clock.now(),
            seconds=seconds,
        )
        return SessionToken(token, seconds, subject)

    async def public_key_set(self) -> dict[str, Any]:
        """Returns the public keys as a JWK set (RFC 7517)."""
        return {"keys": [json.loads(row.public_key) for row in await self._repository.keys()]}

    async def _signing_key(self) -> ECKey:
        """Returns the newest key that every service has read, or the first one. Makes a key when it is time."""
        rows = await self._repository.keys()
        if not rows or self._open(rows[0]) is None or rows[0].made_at <= self._clock.now() - ROTATION_INTERVAL:
            await self._repository.add(self._make_key, newest=rows[0].kid if rows else None)
            rows = await self._repository.keys()
        keys = [key for row in order_by_preference(rows) if (key := self._open(row))]
        return keys[0]

    def _make_key(self) -> tuple[str, str, bytes]:
        key = generate_signing_key()
        kid, private = str(key.kid), json.dumps(key.as_dict(private=True))
        return (
            kid,
            json.dumps(key.as_dict(private=False)),
            self._cipher.seal(PRIVATE_KEY, kid.encode(), private.encode()),
        )

    def _open(self, row: KeyRow) -> ECKey | None:
        """Returns the private key; None if it was sealed under another key-encryption key."""
        try:
            return ECKey.import_key(json.loads(self._cipher.open(PRIVATE_KEY, row.kid.encode(), row.sealed)))
        except TamperedCiphertext:
            return None


def order_by_preference(rows: Sequence[KeyRow]) -> list[KeyRow]:
    """Orders keys, the newest first, for signing: those that every service has read, then the others by age."""
    usable = [row for row in rows if row.is_known_everywhere]
    return usable + [row for row in reversed(rows) if not row.is_known_everywhere]
