"""A sign-in under way, sealed in a cookie: only the browser that began it can finish it."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from services.enrollment.sign_in.sealing import PENDING, SignInCipher
from shared.security.vault import TamperedCiphertext

PENDING_MAX_AGE = timedelta(minutes=10)
MAX_PENDING = 4
"""Sign-ins under way in one browser: servers and proxies refuse requests with several kilobytes of cookies."""
_PURPOSE = "sign-in-"


class NoPendingSignIn(Exception):
    """The browser has not begun this sign-in, or has begun it too long ago."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """The secrets of one sign-in, and where it leads. `renews`: it renews the session that the browser has."""

    state: str
    nonce: str
    code_verifier: str
    next_address: str
    renews: bool
    begun_at: float  # seconds since 1970

    @classmethod
    def begin(cls, next_address: str, *, renews: bool, now: datetime) -> PendingSignIn:
        """Begins a sign-in with secrets of its own."""
        state, nonce, code_verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, code_verifier, next_address, renews, now.timestamp())

    @property
    def cookie(self) -> str:
        """The purpose of its cookie."""
        return cookie_of(self.state)

    def seal(self, cipher: SignInCipher) -> str:
        """Returns the value of its cookie. `open_pending` is the inverse."""
        box = cipher.seal(PENDING, self.state.encode(), json.dumps(asdict(self), ensure_ascii=False).encode())
        return base64.urlsafe_b64encode(box).decode()


def cookie_of(state: str) -> str:
    """Returns the purpose of the cookie, one for each sign-in: windows may sign in side by side."""
    letters = "".join(letter for letter in state[:12] if letter.isascii() and letter.isalnum())
    return f"{_PURPOSE}{letters}"


def surplus_cookies(purposes: Iterable[str]) -> list[str]:
    """Returns the cookies of abandoned sign-ins that have to go before another one begins.

    `purposes`: those of the browser's cookies, the oldest first, as browsers send them.
    """
    return [purpose for purpose in purposes if purpose.startswith(_PURPOSE)][: -(MAX_PENDING - 1)]


def open_pending(cipher: SignInCipher, cookie: str, state: str, *, now: datetime) -> PendingSignIn:
    """Returns the sign-in of that state. Raises NoPendingSignIn."""
    try:
        pending = PendingSignIn(**json.loads(cipher.open(PENDING, state.encode(), base64.urlsafe_b64decode(cookie))))
    except (TamperedCiphertext, TypeError, ValueError):  # also if another version has sealed other members
        raise NoPendingSignIn from None
    if now.timestamp() - pending.begun_at > PENDING_MAX_AGE.total_seconds():
        raise NoPendingSignIn
    return pending
