"""Routes of `/session` where people sign in with an OpenID provider.

`/session` renews the session and leads back, or shows the way to the provider. `/session/sign-in` leads there and
`/session/callback` back; `/session/renew` is for scripts; `/session/end` signs out; `/session/keys` has the public keys
of the tokens in the cookies.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from services.enrollment.sign_in.id_token import BadIdToken
from services.enrollment.sign_in.pending import (
    PENDING_MAX_AGE,
    NoPendingSignIn,
    PendingSignIn,
    cookie_of,
    open_pending,
    surplus_cookies,
)
from services.enrollment.sign_in.provider import ClientRefused, ProviderRefused, ProviderTokens, ProviderUnavailable
from services.enrollment.sign_in.session_token import SessionToken
from services.enrollment.sign_in.sessions import NoRefreshToken, SessionEnded
from services.enrollment.sign_in.sign_in import CALLBACK, SIGNED_OUT, SignIn
from shared.kernel.errors import ServiceUnavailable, Unauthenticated
from shared.ui.navigation import return_address
from shared.ui.pages import NextAddress, Pages, create_page_router, html_response
from shared.ui.session import SESSION_MAX_AGE
from shared.web.authentication import SESSION
from shared.web.container import get_container
from shared.web.query_parameters import refuse_unknown_parameters
from shared.web.same_origin import PageRoute, require_own_navigation

HANDLE = "renewal"
"""The purpose of the cookie that finds the session in enrollment's database."""
ENDS_IN = "Quartal-Session-Ends-In"
"""The header with the seconds until a session ends, however active the person is."""
TEMPLATES = Path(__file__).with_name("templates")
_INTERACTION_NEEDED = frozenset(
    {"login_required", "interaction_required", "consent_required", "account_selection_required"}
)
_log = logging.getLogger(__name__)

NOT_BEGUN = (
    "This sign-in did not begin in this browser, or it took longer than ten minutes. Nobody was signed in. "
    "Sign in again."
)
NOT_GRANTED = "The identity provider did not sign you in. Sign in again, or ask those who run it at your hospital."
UNAVAILABLE = (
    "The identity provider of your hospital does not answer, so nobody can sign in at the moment. Nothing that was "
    "recorded is lost. Try again in a minute."
)
CLIENT_REFUSED = (
    "The identity provider of your hospital does not accept Quartal's own client ID or secret, so nobody can sign in. "
    "Tell those who run Quartal. Nothing that was recorded is lost."
)
INVALID = (
    "The identity provider's answer could not be verified. Nobody was signed in. Sign in again; if this happens "
    "repeatedly, tell those who run Quartal."
)
ENDED = "Your session has ended. Sign in again to continue."


def provider_routes(sign_in: SignIn) -> APIRouter:
    """Returns the routes of `/session` for sign-in with the provider of the settings."""
    routes = create_page_router()
    views = _SignInPages(sign_in)

    @routes.get("/session")
    async def session(request: Request, next_address: NextAddress = "") -> Response:
        return await views.show_session(request, next_address)

    @routes.get("/session/sign-in")
    async def begin(request: Request, next_address: NextAddress = "/") -> Response:
        return await views.lead_to_provider(request, return_address(next_address), renews=False)

    async def callback(
        request: Request, state: str = "", code: str = "", error: str = "", iss: str | None = None
    ) -> Response:
        return await views.finish(request, ProviderAnswer(state, code, error, iss))

    routes.add_api_route(CALLBACK, callback, methods=["GET"], route_class_override=_CallbackRoute)

    @routes.post("/session/renew", status_code=204)
    async def renew(request: Request, idle: Annotated[int, Form(ge=0, le=86_400)] = 0) -> Response:
        return await views.renew(request, timedelta(seconds=idle))

    @routes.get("/session/end")
    async def end(request: Request) -> Response:
        return await views.end(request)

    @routes.get("/session/keys")
    async def keys(request: Request) -> Response:
        return JSONResponse(await sign_in.keys(request).public_key_set())

    return routes


class _CallbackRoute(PageRoute):
    """Ignores parameters that it does not know, as a client of a provider must (RFC 6749, section 4.1.2)."""

    def check_parameters(self, request: Request) -> None:
        names = [name for name, _ in request.query_params.multi_items() if name in self.parameters]
        refuse_unknown_parameters(names, self.parameters)


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """The parameters with which the provider sends the browser back."""

    state: str
    code: str
    error: str
    issuer: str | None


class _SignInPages:
    """The answers of the routes."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._pages = Pages("enrollment", TEMPLATES)

    async def show_session(self, request: Request, next_address: str) -> Response:
        """Renews the session and leads back to where the browser came from, or shows what to do.

        Without such an address the page says who is signed in: a form that was opened before the token expired has led
        here, in another tab.
        """
        handle, address = _cookie(request, HANDLE), return_address(next_address or "/session")
        if not handle:
            return self._sign_in_page(address)
        sessions = self._sign_in.sessions(request)
        try:
            renewal = await sessions.renew(handle)
        except SessionEnded:
            return _without_session(request, self._sign_in_page(address, ENDED))
        except NoRefreshToken:
            return await self.lead_to_provider(request, address, renews=True)
        except ProviderUnavailable as fault:
            return self._unavailable_page(fault, address)
        if (renewal.is_repeated and _cookie(request, SESSION)) or address == "/session":
            # Another redirect would return here: the page refuses the token that the browser has.
            response: Response = self._signed_in_page(renewal.token.subject, address)
        else:
            response = RedirectResponse(address, 303)
        return _with_token(request, response, renewal.token)

    async def renew(self, request: Request, idle: timedelta) -> Response:
        """Renews the session for a script of a page, on which the person was last active `idle` ago.

        A header has the seconds until the session ends in any case, 12 hours after the sign-in.
        Raises Unauthenticated, ServiceUnavailable.
        """
        try:
            renewal = await self._sign_in.sessions(request).renew(_cookie(request, HANDLE), idle=idle)
        except (SessionEnded, NoRefreshToken):
            raise Unauthenticated from None
        except ProviderUnavailable:
            raise ServiceUnavailable from None
        response = Response(status_code=204, headers={ENDS_IN: str(renewal.seconds_until_end)})
        return _with_token(request, response, renewal.token)

    async def lead_to_provider(self, request: Request, next_address: str, *, renews: bool) -> Response:
        """Begins a sign-in, and sends the browser to the provider; a renewal asks it to show nothing."""
        now = self._sign_in.clock.now()
        pending = PendingSignIn.begin(next_address, renews=renews, now=now)
        try:
            url = await self._sign_in.provider.authorization_url(
                state=pending.state,
                nonce=pending.nonce,
                code_verifier=pending.code_verifier,
                prompt="none" if renews else "",
            )
        except ProviderUnavailable as fault:
            return self._unavailable_page(fault, pending.next_address)
        response = RedirectResponse(url, 303)
        sealed, seconds = pending.seal(self._sign_in.cipher), int(PENDING_MAX_AGE.total_seconds())
        cookies = get_container(request).cookies
        for purpose in surplus_cookies(cookies.purposes(request.cookies)):
            cookies.delete(response, purpose)
        cookies.set(response, pending.cookie, sealed, seconds)
        return response

    async def finish(self, request: Request, answer: ProviderAnswer) -> Response:
        """Signs in the person whom the provider names, if this browser has begun the sign-in."""
        cookie = cookie_of(answer.state)
        try:
            sealed = _cookie(request, cookie)
            pending = open_pending(self._sign_in.cipher, sealed, answer.state, now=self._sign_in.clock.now())
        except NoPendingSignIn:
            return self._refusal_page(NOT_BEGUN, 400, "/")
        response = await self._finish_pending(request, pending, answer)
        get_container(request).cookies.delete(response, cookie)
        return response

    async def _finish_pending(self, request: Request, pending: PendingSignIn, answer: ProviderAnswer) -> Response:
        address = pending.next_address
        if pending.renews and answer.error in _INTERACTION_NEEDED:
            await self._sign_in.sessions(request).end(_cookie(request, HANDLE))
            return _without_session(request, self._sign_in_page(address, ENDED))
        try:
            tokens = await self._redeem(pending, answer)
            return await self._begin_or_renew(request, pending, tokens)
        except ProviderRefused:
            return self._refusal_page(NOT_GRANTED, 403, address)
        except ProviderUnavailable as fault:
            return self._unavailable_page(fault, address)
        except BadIdToken as refusal:
            _log.warning("The ID token of a sign-in is refused: %s", refusal.reason)
            return self._refusal_page(INVALID, 403, address)
        except SessionEnded:
            return _without_session(request, self._sign_in_page(address, ENDED))

    async def _redeem(self, pending: PendingSignIn, answer: ProviderAnswer) -> ProviderTokens:
        """Returns the tokens of the person who signed in. Raises ProviderRefused, ProviderUnavailable, BadIdToken."""
        metadata = await self._sign_in.provider.metadata()
        assumed_issuer = None if metadata.names_issuer else metadata.issuer
        if (answer.issuer or assumed_issuer) != metadata.issuer:  # RFC 9207: another provider's answer
            raise BadIdToken("iss")
        if not answer.code:
            raise ProviderRefused
        return await self._sign_in.provider.redeem(
            answer.code, nonce=pending.nonce, code_verifier=pending.code_verifier
        )

    async def _begin_or_renew(self, request: Request, pending: PendingSignIn, tokens: ProviderTokens) -> Response:
        sessions, handle = self._sign_in.sessions(request), _cookie(request, HANDLE)
        response = RedirectResponse(pending.next_address, 303)
        if pending.renews:
            return _with_token(request, response, await sessions.renew_at_provider(handle, tokens))
        if handle:
            await sessions.end(handle)
        new_handle, token = await sessions.begin(tokens)
        seconds = int(SESSION_MAX_AGE.total_seconds())
        get_container(request).cookies.set(response, HANDLE, new_handle, seconds)
        return _with_token(request, response, token)

    async def end(self, request: Request) -> Response:
        """Signs out, here and at the provider."""
        require_own_navigation(request)
        handle, url = _cookie(request, HANDLE), ""
        if handle and (tokens := await self._sign_in.sessions(request).end(handle)):
            url = await self._sign_in.provider.sign_out(tokens)
        return _without_session(request, RedirectResponse(url or SIGNED_OUT, 303))

    def _sign_in_page(self, address: str, note: str = "") -> Response:
        return html_response(self._pages.render("provider_sign_in.html", next=address, note=note))

    def _signed_in_page(self, subject: str, address: str) -> Response:
        return html_response(self._pages.render("signed_in.html", member=subject, next=address))

    def _unavailable_page(self, fault: ProviderUnavailable, address: str) -> Response:
        return self._refusal_page(CLIENT_REFUSED if isinstance(fault, ClientRefused) else UNAVAILABLE, 503, address)

    def _refusal_page(self, message: str, status: int, address: str) -> Response:
        response = html_response(self._pages.render("not_signed_in.html", message=message, next=address), status)
        if status == 503:
            response.headers["Retry-After"] = "60"
        return response


def _cookie(request: Request, purpose: str) -> str:
    return request.cookies.get(get_container(request).cookies.name(purpose), "")


def _with_token(request: Request, response: Response, token: SessionToken) -> Response:
    get_container(request).cookies.set(response, SESSION, token.text, token.seconds)
    return response


def _without_session(request: Request, response: Response) -> Response:
    for purpose in (SESSION, HANDLE):
        get_container(request).cookies.delete(response, purpose)
    return response
