"""Sessions of people who signed in with the provider: begun, renewed, ended, and the tokens of their cookies."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from dataclasses import astuple, dataclass, replace
from datetime import timedelta

from services.enrollment.sign_in.id_token import BadIdToken
from services.enrollment.sign_in.provider import Provider, ProviderRefused, ProviderTokens, ProviderUnavailable
from services.enrollment.sign_in.repository import CLAIM_MAX_AGE, SessionRepository, SessionRow
from services.enrollment.sign_in.sealing import PROVIDER_TOKENS, SignInCipher
from services.enrollment.sign_in.session_token import SessionToken
from services.enrollment.sign_in.signing_keys import SigningKeys
from shared.security.tokens import MAX_LIFETIME_SECONDS
from shared.security.vault import TamperedCiphertext

_POLL_SECONDS = 0.1


class SessionEnded(Exception):
    """There is no such session, or it has ended."""


class NoRefreshToken(Exception):
    """Only a visit of the browser to the provider renews the session.

    The provider gave no refresh token, or refused it: because it no longer grants the sign-in, or because its answer to
    an earlier renewal was lost, so that the token had been used.
    """


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new token. `is_repeated`: the session was renewed a moment before, so the browser should have one already.

    `seconds_until_end`: until the session ends in any case, so that a page can warn of it.
    """

    token: SessionToken
    is_repeated: bool
    seconds_until_end: int


class Sessions:
    """The sessions of an installation. A handle is a random text in a cookie; its hash finds the session."""

    def __init__(
        self, repository: SessionRepository, cipher: SignInCipher, provider: Provider, keys: SigningKeys
    ) -> None:
        self._repository, self._cipher, self._provider, self._keys = repository, cipher, provider, keys

    async def begin(self, tokens: ProviderTokens) -> tuple[str, SessionToken]:
        """Begins a session; returns its handle and its first token."""
        handle = secrets.token_urlsafe(32)
        await self._repository.begin(_hash(handle), tokens.subject, self._seal(handle, tokens))
        return handle, await self._keys.sign(tokens.subject, MAX_LIFETIME_SECONDS)

    async def renew(self, handle: str, *, idle: timedelta = timedelta()) -> Renewal:
        """Returns a new token if the provider still grants the sign-in. The person was last there `idle` ago.

        Raises SessionEnded, NoRefreshToken, ProviderUnavailable.
        """
        row = await self._find(handle)
        if not row.is_fresh:
            await self._ask_provider(handle)
        await self._repository.note_activity(_hash(handle), idle)
        renewed = await self._find(handle)
        seconds_until_end = max(0, int(renewed.seconds_until_end))
        return Renewal(await self._token(renewed), is_repeated=row.is_fresh, seconds_until_end=seconds_until_end)

    async def renew_at_provider(self, handle: str, tokens: ProviderTokens) -> SessionToken:
        """Returns a new token for a session whose person the provider has just confirmed in the browser.

        Raises SessionEnded, also if the provider names another person.
        """
        row = await self._find(handle)
        if row.subject != tokens.subject:
            raise SessionEnded
        await self._repository.finish_renewal(_hash(handle), self._seal(handle, tokens))
        await self._repository.note_activity(_hash(handle), timedelta())
        return await self._token(await self._find(handle))

    async def end(self, handle: str) -> ProviderTokens | None:
        """Ends a session; returns what the provider gave, so that it can be ended there too."""
        sealed = await self._repository.end(_hash(handle))
        try:
            return self._open(handle, sealed) if sealed else None
        except TamperedCiphertext:  # sealed under another key-encryption key
            return None

    async def _ask_provider(self, handle: str) -> None:
        """Renews the session at the provider, or waits for the request that does: a refresh token is used once."""
        deadline = asyncio.get_running_loop().time() + CLAIM_MAX_AGE.total_seconds()
        while not await self._repository.claim_renewal(_hash(handle)):
            if (await self._find(handle)).is_fresh:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise ProviderUnavailable
            await asyncio.sleep(_POLL_SECONDS)
        row = await self._find(handle)
        if not row.is_fresh:
            await self._refresh(handle, row.sealed)

    async def _refresh(self, handle: str, sealed: bytes) -> None:
        try:
            tokens = self._open(handle, sealed)
            if not tokens.refresh_token:
                raise NoRefreshToken
            new_tokens = await self._provider.refresh(tokens)
        except TamperedCiphertext:  # sealed under another key-encryption key
            await self._repository.end(_hash(handle))
            raise SessionEnded from None
        except (ProviderRefused, BadIdToken):
            remaining = self._seal(handle, replace(tokens, refresh_token=""))
            await self._repository.replace_sealed(_hash(handle), remaining)
            raise NoRefreshToken from None
        except (ProviderUnavailable, NoRefreshToken):
            await self._repository.release_claim(_hash(handle))
            raise
        await self._repository.finish_renewal(_hash(handle), self._seal(handle, new_tokens))

    async def _find(self, handle: str) -> SessionRow:
        row = await self._repository.find(_hash(handle))
        if row is None:
            raise SessionEnded
        return row

    async def _token(self, row: SessionRow) -> SessionToken:
        seconds = min(MAX_LIFETIME_SECONDS, int(row.seconds_left))
        if seconds <= 0:
            raise SessionEnded
        return await self._keys.sign(row.subject, seconds)

    def _seal(self, handle: str, tokens: ProviderTokens) -> bytes:
        return self._cipher.seal(PROVIDER_TOKENS, _hash(handle), json.dumps(astuple(tokens)).encode())

    def _open(self, handle: str, sealed: bytes) -> ProviderTokens:
        """Returns what was sealed. Raises TamperedCiphertext."""
        return ProviderTokens(*json.loads(self._cipher.open(PROVIDER_TOKENS, _hash(handle), sealed)))


def _hash(handle: str) -> bytes:
    return hashlib.sha256(handle.encode()).digest()
