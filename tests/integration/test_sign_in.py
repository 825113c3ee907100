"""Sign-in with a certified OpenID provider, from the link to the page that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import httpx
import pytest

from services.enrollment.sign_in.pending import MAX_PENDING
from tests.conftest import Database
from tests.identity_provider import IdentityProvider
from tests.identity_provider.browser import Browser, with_parameters
from tests.integration.support.quartal_server import QuartalServer
from tests.integration.support.sign_in import add_study, open_provider, quartal_server, running, sessions_of

BROWSER_LIMIT = 4096
"""Bytes of the name and value of a cookie; browsers drop longer ones."""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with open_provider(tmp_path_factory) as provider:
        yield provider


@pytest.fixture(scope="module")
def server(
    databases: Mapping[str, str], provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuartalServer]:
    with running(quartal_server(tmp_path_factory, databases, provider)) as server:
        yield server


@pytest.fixture
def visitor(server: QuartalServer) -> Iterator[Browser]:
    browser = Browser(server.url)
    yield browser
    browser.close()


@pytest.fixture
def attacker(server: QuartalServer) -> Iterator[Browser]:
    browser = Browser(server.url)
    yield browser
    browser.close()


@pytest.fixture
async def cohort(analytics_database: Database, study_id: str) -> str:
    """The address of a study's page, whose investigator is anna."""
    return await add_study(analytics_database, study_id, "anna")


def is_refused(browser: Browser, response: httpx.Response, status: int, sentence: str) -> bool:
    """Returns whether the page says so and nobody is signed in."""
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert sentence in response.text
    return not browser.cookie("session") and not browser.cookie("renewal")


async def test_member_signs_in_with_the_provider_and_reads_the_page_that_was_asked_for(
    visitor: Browser, cohort: str
) -> None:
    page = visitor.visit(cohort)
    assert page.url.path == "/session"
    assert f"/session/sign-in?next={quote(cohort, safe='/')}" in page.text
    page = visitor.sign_in("anna", cohort)
    assert (page.status_code, page.url.path) == (200, cohort)
    assert "anna" in page.text


async def test_member_of_one_study_sees_no_other_study_in_any_service(
    visitor: Browser, analytics_database: Database, cohort: str, study_id: str
) -> None:
    other = await add_study(analytics_database, f"{study_id}-other", "berta")
    visitor.sign_in("anna", cohort)
    assert visitor.get(cohort).status_code == 200
    assert visitor.get(other).status_code == 404
    for service in ("enrollment", "toxicity", "followup"):  # their routes take bearer tokens alone
        address = f"/{service}/v1/studies/{study_id}-other/participants"
        assert visitor.get(address, Accept="application/json").status_code == 401


def test_cookies_of_the_session_are_hidden_from_scripts_and_from_requests_of_other_sites(visitor: Browser) -> None:
    callback = visitor.stop_before_callback("anna")
    cookies = [header.lower() for header in visitor.get(callback).headers.get_list("set-cookie")]
    assert len(cookies) == 3  # the session, its renewal, and the end of the sign-in's own
    for cookie in cookies:
        assert {"httponly", "samesite=lax", "path=/"} <= set(cookie.replace(" ", "").split(";"))


def test_callback_that_another_browser_began_signs_nobody_in(visitor: Browser, attacker: Browser) -> None:
    callback = attacker.stop_before_callback("attacker")
    assert is_refused(visitor, visitor.get(callback), 400, "did not begin in this browser")


def test_callback_with_another_state_signs_nobody_in(visitor: Browser) -> None:
    callback = visitor.stop_before_callback("anna")
    for state in ("", "x", "another-state", "%00", "é" * 3):
        response = visitor.get(with_parameters(callback, state=state))
        assert is_refused(visitor, response, 400, "did not begin in this browser")


def test_code_of_another_browser_cannot_be_put_into_a_sign_in(visitor: Browser, attacker: Browser) -> None:
    stolen = httpx.URL(attacker.stop_before_callback("attacker")).params["code"]
    callback = visitor.stop_before_callback("anna")
    response = visitor.get(with_parameters(callback, code=stolen))
    assert is_refused(visitor, response, 403, "The identity provider did not sign you in")


def test_id_token_with_another_nonce_signs_nobody_in(visitor: Browser) -> None:
    callback = visitor.stop_before_callback("anna", nonce="another-nonce")
    assert is_refused(visitor, visitor.get(callback), 403, "could not be verified")


def test_code_signs_in_once(visitor: Browser) -> None:
    callback = visitor.stop_before_callback("anna")
    before = list(visitor.http.cookies.jar)
    assert visitor.get(callback).status_code == 303
    visitor.visit("/session/end")
    assert is_refused(visitor, visitor.get(callback), 400, "did not begin in this browser")
    for cookie in before:  # put back by somebody with access to the browser
        visitor.http.cookies.jar.set_cookie(cookie)
    assert is_refused(visitor, visitor.get(callback), 403, "The identity provider did not sign you in")


def test_answer_of_another_provider_signs_nobody_in(visitor: Browser) -> None:
    callback = visitor.stop_before_callback("anna")
    for issuer in ("https://elsewhere.example", ""):  # this provider always names itself
        visited = visitor.get(with_parameters(callback, iss=issuer))
        assert is_refused(visitor, visited, 403, "could not be verified")
        callback = visitor.stop_before_callback("anna")


def test_person_who_declines_at_the_provider_is_not_signed_in(visitor: Browser) -> None:
    page = visitor.visit("/session/sign-in")
    declined = visitor.visit(f"{page.url}/abort")
    assert is_refused(visitor, declined, 403, "The identity provider did not sign you in")


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "javascript:alert(1)",
        "elsewhere",
        "/session/end",
        "/session/callback?code=x",
    ],
)
def test_sign_in_leads_to_no_other_host_and_not_out_again(visitor: Browser, address: str) -> None:
    callback = visitor.stop_before_callback("anna", quote(address))
    target = visitor.get(callback).headers["location"]
    assert target in ("/", "/session")
    assert visitor.get("/session?next=" + quote(address)).headers.get("location", "/session") in ("/", "/session")


def test_return_address_keeps_its_query(visitor: Browser) -> None:
    callback = visitor.stop_before_callback("anna", quote("/analytics/studies/a?by=sex&at=7"))
    assert visitor.get(callback).headers["location"] == "/analytics/studies/a?by=sex&at=7"


def test_two_windows_sign_in_side_by_side(visitor: Browser) -> None:
    first, second = (visitor.stop_before_callback("anna", f"/{name}") for name in ("first", "second"))
    assert visitor.get(first).headers["location"] == "/first"
    assert visitor.get(second).headers["location"] == "/second"


def test_abandoned_sign_ins_do_not_fill_the_requests_of_a_browser(visitor: Browser) -> None:
    for number in range(3 * MAX_PENDING):
        visitor.get(f"/session/sign-in?next=/{number}")
    begun = [cookie for cookie in visitor.http.cookies.jar if "sign-in" in cookie.name]
    assert len(begun) == MAX_PENDING
    assert visitor.sign_in("anna", "/session").status_code == 200


def test_long_address_does_not_keep_anybody_out(visitor: Browser) -> None:
    visitor.get(f"/session/sign-in?next=/{'a' * 4000}")
    (begun,) = visitor.http.cookies.jar
    assert len(begun.name + str(begun.value)) < BROWSER_LIMIT


async def test_database_holds_no_token_of_the_provider_and_no_handle(
    visitor: Browser, enrollment_database: Database
) -> None:
    visitor.sign_in("sealed-tokens")
    (row,) = await sessions_of(enrollment_database, "sealed-tokens")
    assert b"sealed-tokens" not in bytes(row["sealed"])  # the subject stands before the tokens
    assert visitor.cookie("renewal").encode() not in bytes(row["sealed"]) + row["handle_hash"]


async def test_sign_out_ends_the_session_here_and_at_the_provider(
    visitor: Browser, provider: IdentityProvider, enrollment_database: Database
) -> None:
    visitor.sign_in("leaving")
    handle = visitor.cookie("renewal")
    page = visitor.visit("/session/end")
    assert str(page.url).startswith(f"{provider.url}/session/end")
    assert not visitor.cookie("session")
    assert await sessions_of(enrollment_database, "leaving") == []
    page = visitor.submit(page, logout="yes")
    assert str(page.url) == f"{visitor.quartal_url}/session"
    assert "interaction" in str(visitor.visit("/session/sign-in").url)  # the provider asks for the password again
    visitor.set_cookie("renewal", handle)
    assert "Your session has ended" in visitor.visit("/session?next=/").text


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_link_of_another_site_cannot_sign_out(visitor: Browser, site: str) -> None:
    visitor.sign_in("anna")
    assert visitor.get("/session/end", **{"Sec-Fetch-Site": site}).status_code == 403
    assert visitor.cookie("session")


def test_session_says_who_is_signed_in(visitor: Browser) -> None:
    visitor.sign_in("<anna>")
    page = visitor.visit("/session")
    assert "&lt;anna&gt;" in page.text
    assert "<anna>" not in page.text


def test_access_tokens_of_the_provider_authorize_programs_and_session_tokens_do_not(
    visitor: Browser, provider: IdentityProvider, server: QuartalServer, study_id: str
) -> None:
    address = f"{server.url}/enrollment/v1/studies/{study_id}"
    visitor.sign_in("anna")

    def problem_of(token: str) -> tuple[int, str]:
        response = httpx.get(address, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        return response.status_code, response.json()["errors"][0]["code"]

    assert problem_of(provider.access_token(server.settings["QUARTAL_AUDIENCE"]))[0] == 404  # known, without a grant
    assert problem_of(provider.access_token("http://127.0.0.1:1")) == (401, "token-audience")
    assert problem_of(visitor.cookie("session")) == (401, "token-unknown-key")


async def test_cookie_holds_a_token_of_the_session_and_no_other(
    visitor: Browser, provider: IdentityProvider, server: QuartalServer, cohort: str
) -> None:
    visitor.sign_in("anna", cohort)
    good = visitor.cookie("session")
    visitor.forget("renewal")
    for token in (provider.access_token(server.settings["QUARTAL_AUDIENCE"]), good[:-4], "x"):
        visitor.set_cookie("session", token)
        assert visitor.get(cohort).headers["location"].startswith("/session?next=")
    visitor.set_cookie("session", good)
    assert visitor.get(cohort).status_code == 200
