"""The OpenID provider: its discovery document, the sign-in by authorization code with PKCE, renewal and sign-out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7009 import prepare_revoke_token_request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.enrollment.sign_in.id_token import BadIdToken, ExpectedClaims, verify_id_token
from shared.kernel.clock import Clock
from shared.security.issuer_keys import HttpKeys, KeysUnavailable

TIMEOUT_SECONDS = 10.0
"""The longest that one step of a sign-in waits for the provider, however many requests it takes."""
METADATA_MAX_AGE_SECONDS = 3600.0
_DISCOVERY_PATH = "/.well-known/openid-configuration"
_log = logging.getLogger(__name__)


class ProviderUnavailable(Exception):
    """The provider does not answer, or its answer cannot be read; the person can try again."""


class ClientRefused(ProviderUnavailable):
    """The provider does not accept Quartal's own client ID or secret; only those who run Quartal can mend that."""


class ProviderRefused(Exception):
    """The provider refuses this sign-in or its renewal; the person must sign in anew."""


_REFUSALS: Mapping[str, type[Exception]] = {
    "invalid_grant": ProviderRefused,
    "invalid_client": ClientRefused,
    "unauthorized_client": ClientRefused,
}
"""Exceptions by the error code of RFC 6749, section 5.2; any other code means that the provider has a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistration:
    """Quartal as the provider knows it. Without a secret it is a public client."""

    issuer: str
    client_id: str
    client_secret: str
    scope: str
    redirect_uri: str
    signed_out_uri: str


class Metadata(BaseModel):
    """The members of the discovery document (OpenID Connect Discovery 1.0) that a sign-in needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    revocation_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    names_issuer: bool = Field(default=False, alias="authorization_response_iss_parameter_supported")


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """The tokens that the provider gave for a person, the `subject`; `refresh_token` is empty if it gave none."""

    subject: str
    id_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class _Discovery:
    """The discovery document, the keys that it names, and the time at which it was read."""

    metadata: Metadata
    keys: HttpKeys
    read_at: datetime


class Provider:
    """The provider of one registration. Its discovery document is kept for an hour, and longer while it is away."""

    def __init__(
        self, registration: ClientRegistration, clock: Clock, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self.registration, self._clock, self._timeout_seconds = registration, clock, timeout_seconds
        self._discovery: _Discovery | None = None

    async def metadata(self) -> Metadata:
        """Returns the discovery document. Raises ProviderUnavailable if it was never read."""
        async with self._deadline():
            return (await self._discover()).metadata

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Raises ProviderUnavailable when the time for an answer is over. The time-outs of httpx bound single reads."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError:
            _log.warning("The provider has not answered within %g s.", self._timeout_seconds)
            raise ProviderUnavailable from None

    async def _discover(self) -> _Discovery:
        cached, now = self._discovery, self._clock.now()
        if cached and (now - cached.read_at).total_seconds() < METADATA_MAX_AGE_SECONDS:
            return cached
        try:
            # The rest of the time is for the request that needs the document.
            async with asyncio.timeout(self._timeout_seconds / 2):
                metadata = await self._fetch_metadata()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValidationError, ProviderUnavailable) as error:
            _log.warning("The discovery document of the provider cannot be read (%s).", type(error).__name__)
            if cached:
                return cached
            raise ProviderUnavailable from None
        is_same = cached is not None and cached.metadata.jwks_uri == metadata.jwks_uri
        # Only tokens of the provider itself name a key, so an unknown one is asked for at once.
        keys = cached.keys if cached and is_same else HttpKeys(metadata.jwks_uri, refetch_seconds=0.0)
        self._discovery = _Discovery(metadata, keys, now)
        return self._discovery

    async def _fetch_metadata(self) -> Metadata:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            response = await client.get(self.registration.issuer.rstrip("/") + _DISCOVERY_PATH)
        metadata = Metadata.model_validate_json(response.raise_for_status().content)
        if metadata.issuer != self.registration.issuer:
            _log.error("The discovery document names another issuer than QUARTAL_OIDC_ISSUER.")
            raise ProviderUnavailable
        return metadata

    async def authorization_url(self, *, state: str, nonce: str, code_verifier: str, prompt: str = "") -> str:
        """Returns the address at the provider that a browser is sent to. Raises ProviderUnavailable."""
        metadata, registration = await self.metadata(), self.registration
        client = OAuth2Client(
            None,
            registration.client_id,
            scope=registration.scope,
            redirect_uri=registration.redirect_uri,
            code_challenge_method="S256",
        )
        prompts = {"prompt": prompt} if prompt else {}
        url, _ = client.create_authorization_url(
            metadata.authorization_endpoint, state, code_verifier, nonce=nonce, **prompts
        )
        return str(url)

    async def redeem(self, code: str, *, nonce: str, code_verifier: str) -> ProviderTokens:
        """Returns the tokens for an authorization code. Raises ProviderRefused, ProviderUnavailable, BadIdToken."""
        body = prepare_token_request(
            "authorization_code", redirect_uri=self.registration.redirect_uri, code=code, code_verifier=code_verifier
        )
        async with self._deadline():
            return await self._verify(await self._request_tokens(body), nonce=nonce)

    async def refresh(self, tokens: ProviderTokens) -> ProviderTokens:
        """Returns new tokens of the same person. Raises ProviderRefused, ProviderUnavailable, BadIdToken."""
        body = prepare_token_request("refresh_token", refresh_token=tokens.refresh_token)
        async with self._deadline():
            answer = await self._request_tokens(body)
            refresh_token = _text(answer, "refresh_token") or tokens.refresh_token
            if not _text(answer, "id_token"):
                return ProviderTokens(tokens.subject, tokens.id_token, refresh_token)
            new_tokens = await self._verify(answer, nonce="")
        if new_tokens.subject != tokens.subject:
            raise BadIdToken("subject")
        return ProviderTokens(new_tokens.subject, new_tokens.id_token, refresh_token)

    async def sign_out(self, tokens: ProviderTokens) -> str:
        """Revokes the refresh token, and returns the address that ends the session at the provider; empty without one.

        The person is signed out of Quartal whatever the provider answers.
        """
        try:
            async with self._deadline():
                metadata = (await self._discover()).metadata
                if metadata.revocation_endpoint and tokens.refresh_token:
                    body, _ = prepare_revoke_token_request(tokens.refresh_token, "refresh_token")
                    await self._post(metadata, metadata.revocation_endpoint, body)
        except (ProviderUnavailable, ProviderRefused):
            _log.warning("The refresh token of a session that ended could not be revoked.")
        return self._end_session_url(tokens.id_token)

    async def _request_tokens(self, body: str) -> Mapping[str, Any]:
        metadata = (await self._discover()).metadata
        return await self._post(metadata, metadata.token_endpoint, body)

    def _end_session_url(self, id_token: str) -> str:
        endpoint = self._discovery.metadata.end_session_endpoint if self._discovery else ""
        if not endpoint:
            return ""
        query = {
            "id_token_hint": id_token,
            "client_id": self.registration.client_id,
            "post_logout_redirect_uri": self.registration.signed_out_uri,
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def _verify(self, answer: Mapping[str, Any], *, nonce: str) -> ProviderTokens:
        discovery, id_token = await self._discover(), _text(answer, "id_token")
        expected = ExpectedClaims(
            issuer=discovery.metadata.issuer,
            client_id=self.registration.client_id,
            nonce=nonce,
            access_token=_text(answer, "access_token"),
        )
        try:
            subject = await verify_id_token(id_token, discovery.keys, expected, now=self._clock.now())
        except KeysUnavailable:
            raise ProviderUnavailable from None
        return ProviderTokens(subject, id_token, _text(answer, "refresh_token"))

    async def _post(self, metadata: Metadata, endpoint: str, body: str) -> Mapping[str, Any]:
        """Returns the members of the answer; none of an empty one. Raises ProviderRefused, ProviderUnavailable."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        url, headers, body = self._client_auth(metadata).prepare("POST", endpoint, headers, body)
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                response = await client.post(url, content=body, headers=headers)
            answer = response.json() if response.content else {}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            _log.warning("The provider cannot be reached (%s).", type(error).__name__)
            raise ProviderUnavailable from None
        if not isinstance(answer, dict):
            raise ProviderUnavailable
        if response.is_success:
            return answer
        _log.warning("The provider answers %d: %r", response.status_code, _text(answer, "error")[:80])
        raise _REFUSALS.get(_text(answer, "error"), ProviderUnavailable)

    def _client_auth(self, metadata: Metadata) -> ClientAuth:
        """Returns how Quartal proves itself: by HTTP Basic, or in the form if the provider takes only that."""
        client_id, secret = self.registration.client_id, self.registration.client_secret
        if not secret:
            return ClientAuth(client_id, None, "none")
        if "client_secret_basic" not in metadata.token_endpoint_auth_methods_supported:
            return ClientAuth(client_id, secret, "client_secret_post")
        return ClientAuth(quote_plus(client_id), quote_plus(secret), "client_secret_basic")  # RFC 6749, section 2.3.1


def _text(answer: Mapping[str, Any], member: str) -> str:
    value = answer.get(member)
    return value if isinstance(value, str) else ""
