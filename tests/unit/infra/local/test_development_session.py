"""The session of the development sign-in goes on while requests arrive, and ends in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from infra.issuer import AUDIENCE, ISSUER, Issuer
from infra.local.development_session import DevelopmentSessions
from shared.security.issuer_keys import FileKeys
from shared.security.tokens import Verifier
from shared.web.cookies import Cookies
from tests.unit.security.signed_tokens import NOON, ManualClock

COOKIES = Cookies(plain_http=True, port=8000)
NAME = COOKIES.name("session")


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.load(tmp_path)


async def answer(issuer: Issuer, token: str, minutes: float, **set_cookie: str) -> tuple[str, list[str]]:
    """Returns the token that the application gets so many minutes after noon, and the cookies that the browser gets."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    sessions = DevelopmentSessions(issuer, COOKIES, lambda: NOON + timedelta(minutes=minutes))
    scope: dict[str, Any] = {"type": "http", "headers": [(b"cookie", f"a=b; {NAME}={token}; c=d".encode())]}
    renewed_scope, renewed_send = sessions.renew(scope, send)
    cookie = dict(renewed_scope["headers"])[b"cookie"].decode()
    assert (cookie[:5], cookie[-5:]) == ("a=b; ", "; c=d")
    own = [(b"set-cookie", f"{NAME}={value}".encode()) for value in set_cookie.values()]
    await renewed_send({"type": "http.response.start", "status": 200, "headers": own})
    cookies = [value.decode() for name, value in messages[0]["headers"] if name == b"set-cookie"]
    return cookie.removeprefix(f"a=b; {NAME}=").removesuffix("; c=d"), cookies


async def test_token_older_than_five_minutes_is_replaced_in_the_request_and_in_the_browser(issuer: Issuer) -> None:
    token = issuer.token("anna", now=NOON, signed_in_at=NOON)
    assert await answer(issuer, token, 4.9) == (token, [])
    for minutes in (5.1, 14, 16, 59):
        renewed, cookies = await answer(issuer, token, minutes)
        assert renewed != token
        assert [cookie.partition(";")[0] for cookie in cookies] == [f"{NAME}={renewed}"]
        assert "Max-Age=3600" in cookies[0]  # the browser has it as long as it can be renewed
        clock = ManualClock(NOON + timedelta(minutes=minutes))
        verifier = Verifier(FileKeys(issuer.jwks), ISSUER, AUDIENCE, now=clock)
        assert (await verifier.verify(renewed)).subject == "anna"


async def test_session_ends_after_an_hour_without_a_request_and_after_twelve(issuer: Issuer) -> None:
    token = issuer.token("anna", now=NOON, signed_in_at=NOON)
    assert await answer(issuer, token, 60) == (token, [])
    minutes = 0
    while (renewed := (await answer(issuer, token, minutes := minutes + 50))[0]) != token:
        token = renewed
    assert minutes == 750  # the first request after twelve hours


async def test_token_that_is_no_session_of_this_issuer_is_left_alone(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "another").mkdir()
    foreign = Issuer.load(tmp_path / "another").token("anna", now=NOON, signed_in_at=NOON)
    pasted = issuer.token("anna", now=NOON)
    for token in (foreign, pasted, "", "x.y.z", "é"):
        assert await answer(issuer, token, 10) == (token, [])


async def test_answer_that_signs_out_keeps_its_own_cookie(issuer: Issuer) -> None:
    token = issuer.token("anna", now=NOON, signed_in_at=NOON)
    assert (await answer(issuer, token, 10, own=""))[1] == [f"{NAME}="]
