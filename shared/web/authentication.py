"""Authentication of requests by an access token, in a header or in the cookie of a session."""

from __future__ import annotations

import logging
from pathlib import Path

from fastapi import Request
from prometheus_client import Counter

from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceUnavailable, Unauthenticated
from shared.security.issuer_keys import FileKeys, HttpKeys, KeysUnavailable
from shared.security.token_reasons import describe_refusal
from shared.security.tokens import BadToken, TokenRefusalReason, Verifier
from shared.settings import Settings
from shared.web.container import Authenticate

REFUSED_TOKENS = Counter("quartal_tokens_refused", "Tokens that were refused", ["service", "reason"])
_log = logging.getLogger(__name__)


def create_verifier(settings: Settings, clock: Clock) -> Verifier:
    source = HttpKeys(settings.jwks) if settings.jwks.startswith("http") else FileKeys(Path(settings.jwks))
    return Verifier(source, settings.issuer, settings.audience, now=clock.now)


def authentication(service: str, token_verifier: Verifier, *, cookie: str = "") -> Authenticate:
    """Creates the function that sets `request.state.caller` from the token, or raises Unauthenticated.

    A GET request may carry the token in the session's cookie; a request that changes something may not.
    """

    async def authenticate(request: Request) -> None:
        if len(request.headers.getlist("authorization")) > 1:
            raise _count_refusal(service, "several")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme and cookie and request.method == "GET":
            scheme, token = "bearer", request.cookies.get(cookie, "")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        try:
            request.state.caller = await token_verifier.verify(token.strip())
        except BadToken as error:
            raise _count_refusal(service, error.reason) from None
        except KeysUnavailable:
            raise ServiceUnavailable from None

    return authenticate


def _count_refusal(service: str, reason: TokenRefusalReason) -> Unauthenticated:
    """Counts and log the reason, which is a code: no token and no subject."""
    REFUSED_TOKENS.labels(service, reason).inc()
    _log.info("token refused: %s", reason)
    return Unauthenticated(*describe_refusal(reason))
