"""The token of a session's cookie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A token for the cookie of a session, its lifetime in seconds, and its subject."""

    text: str
    seconds: int
    subject: str
