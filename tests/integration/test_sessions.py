"""Sessions after the sign-in: renewed without a question, ended in time, while the provider is away or has new keys."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from tests.conftest import Database
from tests.identity_provider import IdentityProvider
from tests.identity_provider.browser import Browser
from tests.integration.support.quartal_server import ENROLLMENT_ALONE, QuartalServer
from tests.integration.support.sign_in import (
    change_keys,
    change_session,
    open_provider,
    quartal_server,
    running,
    sessions_of,
)

PAGE = "/enrollment/docs"
"""A page of enrollment, which needs no session: where the sign-ins of this module lead."""
RENEWAL = f"/session?next={PAGE}"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with open_provider(tmp_path_factory) as provider:
        yield provider


@pytest.fixture(scope="module")
def server(
    databases: Mapping[str, str], provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuartalServer]:
    """The API of enrollment alone: analytics is down."""
    with running(quartal_server(tmp_path_factory, databases, provider, *ENROLLMENT_ALONE)) as server:
        yield server


@pytest.fixture
def visitor(server: QuartalServer) -> Iterator[Browser]:
    browser = Browser(server.url)
    yield browser
    browser.close()


@pytest.fixture
def member(study_id: str) -> str:
    """The name of a person whom no other test signs in."""
    return f"member-of-{study_id}"


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def is_renewed(visitor: Browser, former: str) -> bool:
    """Returns whether a page whose token has expired is shown again without a question."""
    visitor.forget("session")
    page = visitor.visit(RENEWAL)
    return page.url.path == PAGE and visitor.cookie("session") not in ("", former)


def test_sign_in_works_while_analytics_is_down(visitor: Browser, member: str) -> None:
    page = visitor.sign_in(member, PAGE)
    assert (page.status_code, page.url.path) == (200, PAGE)
    assert member in visitor.visit("/session").text
    assert visitor.get("/enrollment/static/app.css").status_code == 200


async def test_expired_token_is_renewed_without_a_question(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    former = visitor.cookie("session")
    (before,) = await sessions_of(enrollment_database, member)
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    assert is_renewed(visitor, former)
    (after,) = await sessions_of(enrollment_database, member)
    assert after["sealed"] != before["sealed"]  # the provider gave another refresh token
    assert after["began_at"] == before["began_at"]
    claims = claims_of(visitor.cookie("session"))
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (member, 900)
    assert [url for url in visitor.visited if "/auth" in url and "prompt" in url] == []


async def test_sign_in_that_a_form_leads_to_renews_the_session_and_leads_back_to_the_form(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    """The form was open for longer than its token: its page leads to `/session` in another tab."""
    assert '/session/sign-in?next=/session"' in visitor.visit("/session").text
    page = visitor.sign_in(member, "/session")
    assert "press <b>Go on</b> there" in page.text
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    visitor.forget("session")
    page = visitor.visit("/session")
    assert "press <b>Go on</b> there" in page.text
    assert claims_of(visitor.cookie("session"))["sub"] == member


async def test_provider_is_not_asked_twice_within_half_a_minute(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    (before,) = await sessions_of(enrollment_database, member)
    assert is_renewed(visitor, "")
    (after,) = await sessions_of(enrollment_database, member)
    assert after["sealed"] == before["sealed"]


async def test_windows_that_renew_at_once_use_the_refresh_token_once(
    server: QuartalServer, visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    visitor.forget("session")
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    cookies = {f"quartal-renewal-{server.settings['QUARTAL_PORT']}": visitor.cookie("renewal")}
    async with httpx.AsyncClient(base_url=server.url, cookies=cookies, trust_env=False, timeout=30) as windows:
        answers = await asyncio.gather(*(windows.get(RENEWAL) for _ in range(8)))
    assert {answer.headers.get("location") for answer in answers} == {PAGE}
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    assert is_renewed(visitor, "")  # a provider ends a session whose refresh token is used twice


async def test_session_ends_after_an_hour_without_a_request(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, active_at="59 minutes", renewed_at="59 minutes")
    assert is_renewed(visitor, "")
    await change_session(enrollment_database, member, active_at="60 minutes", renewed_at="60 minutes")
    visitor.forget("session")
    assert "Your session has ended" in visitor.visit(RENEWAL).text
    assert not visitor.cookie("renewal")


async def test_script_of_a_page_renews_the_session_as_long_as_the_person_is_there(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, active_at="50 minutes", renewed_at="16 minutes")
    visitor.forget("session")
    assert visitor.post("/session/renew", idle="3000").status_code == 204  # nobody has touched the page
    claims = claims_of(visitor.cookie("session"))
    assert 500 < claims["exp"] - claims["iat"] <= 600  # no token outlives the session
    assert await minutes_idle(enrollment_database, member) == 50
    assert visitor.post("/session/renew", idle="120").status_code == 204
    assert await minutes_idle(enrollment_database, member) == 2
    await change_session(enrollment_database, member, active_at="60 minutes")
    refused = visitor.post("/session/renew", idle="0")
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/not-recognised")


async def test_script_of_a_page_learns_when_the_session_ends_in_any_case(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    """Activity does not put the end off, so the page can warn of it."""
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, began_at="11 hours 55 minutes", active_at="50 minutes")
    for idle in ("3000", "0"):
        renewed = visitor.post("/session/renew", idle=idle)
        assert renewed.status_code == 204
        assert 240 < int(renewed.headers["Quartal-Session-Ends-In"]) <= 300


async def minutes_idle(database: Database, subject: str) -> int:
    (row,) = await sessions_of(database, subject)
    active_at: datetime = row["active_at"]
    return round((datetime.now(UTC) - active_at).total_seconds() / 60)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_page_of_another_site_cannot_renew(visitor: Browser, member: str, site: str) -> None:
    visitor.sign_in(member, PAGE)
    assert visitor.post("/session/renew", {"Sec-Fetch-Site": site}, idle="0").status_code == 403


@pytest.mark.parametrize("idle", ["-1", "x", "86401", "1e3"])
def test_impossible_idle_time_is_refused(visitor: Browser, member: str, idle: str) -> None:
    visitor.sign_in(member, PAGE)
    assert visitor.post("/session/renew", idle=idle).status_code == 422


async def test_session_ends_twelve_hours_after_the_sign_in(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, began_at="11 hours 55 minutes")
    assert is_renewed(visitor, "")
    claims = claims_of(visitor.cookie("session"))
    assert 200 < claims["exp"] - claims["iat"] <= 300  # and no token outlives it
    await change_session(enrollment_database, member, began_at="12 hours")
    visitor.forget("session")
    assert "Your session has ended" in visitor.visit(RENEWAL).text


async def test_ended_sessions_leave_the_database_at_the_next_sign_in(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, active_at="2 hours")
    with closing(Browser(visitor.quartal_url)) as another:
        another.sign_in(f"{member}-again", PAGE)
    assert await sessions_of(enrollment_database, member) == []


async def test_another_sign_in_in_the_same_browser_ends_the_first_session(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    visitor.sign_in(member, PAGE)
    assert len(await sessions_of(enrollment_database, member)) == 1


def test_invented_session_is_no_session(visitor: Browser) -> None:
    for handle in ("x", "a" * 43):
        visitor.set_cookie("renewal", handle)
        assert "Your session has ended" in visitor.visit(RENEWAL).text


def test_page_that_refuses_the_token_does_not_send_the_browser_in_circles(visitor: Browser, member: str) -> None:
    visitor.sign_in(member, PAGE)
    page = visitor.get(RENEWAL)  # the browser has a token, and yet a page has led here
    assert (page.status_code, member in page.text) == (200, True)


async def test_provider_that_has_forgotten_the_person_ends_the_session(
    visitor: Browser, provider: IdentityProvider, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    provider.stop()
    provider.start()  # it keeps sessions in memory
    visitor.forget("session")
    assert "Your session has ended" in visitor.visit(RENEWAL).text
    assert await sessions_of(enrollment_database, member) == []


async def test_provider_that_is_away_for_a_while_ends_no_session(
    visitor: Browser, provider: IdentityProvider, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    callback = visitor.stop_before_callback(member)
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    visitor.forget("session")
    with provider.unreachable():
        assert all(is_sorry(page) for page in (visitor.visit(RENEWAL), visitor.get(callback)))
    assert is_renewed(visitor, "")


async def test_lost_answer_of_the_provider_costs_a_click(
    visitor: Browser, provider: IdentityProvider, enrollment_database: Database, member: str
) -> None:
    """The provider has given another refresh token that never arrived, and takes the former one for stolen."""
    visitor.sign_in(member, PAGE)
    await change_session(enrollment_database, member, renewed_at="16 minutes")
    visitor.forget("session")
    with provider.frozen():
        assert is_sorry(visitor.visit(RENEWAL))
    assert visitor.visit(RENEWAL).url.path in (PAGE, "/session", "/session/callback")
    assert visitor.sign_in(member, PAGE).url.path == PAGE


def is_sorry(page: httpx.Response) -> bool:
    """Returns whether the page says that the provider is away."""
    is_unavailable = (page.status_code, page.headers.get("retry-after")) == (503, "60")
    return is_unavailable and "The identity provider of your hospital does not answer" in page.text


def test_new_keys_of_the_provider_are_accepted_at_once(
    visitor: Browser, provider: IdentityProvider, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    for number in range(2):
        provider.stop()
        key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": f"key-{number}"})
        provider.start(jwks={"keys": [key.as_dict(private=True)]})
        assert visitor.sign_in(f"{member}-{number}", PAGE).url.path == PAGE


async def test_keys_of_sessions_are_published_before_they_sign_and_after(
    visitor: Browser, enrollment_database: Database, member: str
) -> None:
    visitor.sign_in(member, PAGE)
    former = token_header(visitor.cookie("session"))["kid"]
    await change_keys(enrollment_database, "update session_keys set made_at = now() - interval '30 days 1 second'")
    assert is_renewed(visitor, "")
    assert token_header(visitor.cookie("session"))["kid"] == former
    published = [key["kid"] for key in visitor.get("/session/keys").json()["keys"]]
    assert len(published) == 2
    await change_keys(
        enrollment_database,
        "update session_keys set made_at = now() - interval '21 minutes' where kid <> $1",
        former,
    )
    assert is_renewed(visitor, "")
    assert token_header(visitor.cookie("session"))["kid"] == next(kid for kid in published if kid != former)


def test_published_keys_are_public(server: QuartalServer, visitor: Browser, member: str) -> None:
    visitor.sign_in(member, PAGE)
    for key in httpx.get(f"{server.url}/session/keys", trust_env=False).json()["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def token_header(token: str) -> dict[str, Any]:
    part = token.split(".")[0]
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return header
