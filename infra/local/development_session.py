"""Renews the session of the development sign-in on any request, as enrollment does where people have a provider."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

from fastapi.responses import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from infra.issuer import Issuer
from shared.ui.session import SESSION_MAX_AGE, SESSION_MAX_IDLE
from shared.web.authentication import SESSION
from shared.web.cookies import Cookies

RENEWED_AFTER = timedelta(minutes=5)
COOKIE_SECONDS = int(SESSION_MAX_IDLE.total_seconds())
"""Seconds for which a browser keeps the cookie: longer than its token is valid, which the next request replaces."""


class DevelopmentSessions:
    """The sessions that links of the start page began. Tokens that somebody pasted are not renewed."""

    def __init__(self, issuer: Issuer, cookies: Cookies, now: Callable[[], datetime]) -> None:
        self._issuer, self._cookies, self._now = issuer, cookies, now

    def renew(self, scope: Scope, send: Send) -> tuple[Scope, Send]:
        """Returns the request with a new token in its cookie, and a `send` that gives it to the browser too.

        Both are unchanged if the token is new, or the session has ended or is none.
        """
        former = self._token(scope)
        token = self._issuer.renew(
            former, now=self._now(), after=RENEWED_AFTER, max_idle=SESSION_MAX_IDLE, max_age=SESSION_MAX_AGE
        )
        if not token:
            return scope, send
        headers = [
            (name, value.replace(former.encode(), token.encode()) if name == b"cookie" else value)
            for name, value in scope["headers"]
        ]
        return {**scope, "headers": headers}, self._with_cookie(send, token)

    def _token(self, scope: Scope) -> str:
        try:
            cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return ""
        cookie = cookies.get(self._cookies.name(SESSION))
        return cookie.value if cookie else ""

    def _with_cookie(self, send: Send, token: str) -> Send:
        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                name = f"{self._cookies.name(SESSION)}="
                if not any(value.startswith(name) for value in headers.getlist("set-cookie")):  # signed in or out
                    response = Response()
                    self._cookies.set(response, SESSION, token, COOKIE_SECONDS)
                    headers.append("set-cookie", response.headers["set-cookie"])
            await send(message)

        return send_with_cookie
