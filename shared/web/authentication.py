"""Authentication of requests by an access token, in a header or in the cookie of a session."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
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
SESSION = "session"
"""The purpose of the cookie that holds the session's token."""
_log = logging.getLogger(__name__)


def create_verifier(settings: Settings, clock: Clock) -> Verifier:
    source = HttpKeys(settings.jwks) if settings.jwks.startswith("http") else FileKeys(Path(settings.jwks))
    return Verifier(source, settings.issuer, settings.audience, now=clock.now)


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """The cookie of the session, and the verifier of the tokens in it."""

    cookie: str
    verifier: Verifier


def session_verifier(settings: Settings, bearer_verifier: Verifier) -> Verifier:
    """Returns the verifier of the tokens in session cookies.

    Enrollment signs them if people sign in with an OpenID provider. Else the cookie holds a bearer token.
    """
    if not settings.oidc_issuer:
        return bearer_verifier
    keys = HttpKeys(settings.session_keys_url)
    return Verifier(keys, settings.session_issuer, settings.audience, now=settings.study_clock().now)


def authentication(
    service: str, bearer_verifier: Verifier, *, session: SessionTokens | None = None, forms_only: bool = False
) -> Authenticate:
    """Creates the function that sets `request.state.caller` from the token, or raises Unauthenticated.

    `request.state.token_holds` says later whether the token is still known to be valid, for streams.
    Requests of forms may carry the token in the session's cookie, because their routes check that a page of this server
    sent them. So may other GET requests, unless `forms_only`.
    """

    async def authenticate(request: Request) -> None:
        if len(request.headers.getlist("authorization")) > 1:
            raise _count_refusal(service, "several")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        verifier = bearer_verifier
        if not scheme and session and (_is_of_form(request) or (request.method == "GET" and not forms_only)):
            scheme, token, verifier = "bearer", request.cookies.get(session.cookie, ""), session.verifier
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        try:
            verified = await verifier.accept(token.strip())
        except BadToken as error:
            raise _count_refusal(service, error.reason) from None
        except KeysUnavailable:
            raise ServiceUnavailable from None
        request.state.caller, request.state.token_holds = verified.caller, partial(verifier.holds, verified)

    return authenticate


def _is_of_form(request: Request) -> bool:
    return bool(getattr(request, "is_form", False))


def _count_refusal(service: str, reason: TokenRefusalReason) -> Unauthenticated:
    """Counts and logs the reason, which is a code: no token and no subject."""
    REFUSED_TOKENS.labels(service, reason).inc()
    _log.info("token refused: %s", reason)
    return Unauthenticated(*describe_refusal(reason))
