"""Providers with other habits: none gives a refresh token here, and none takes the client's secret by HTTP Basic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from tests.conftest import Database
from tests.identity_provider import IdentityProvider
from tests.identity_provider.browser import Browser
from tests.integration.support.quartal_server import ENROLLMENT_ALONE, QuartalServer
from tests.integration.support.sign_in import change_session, open_provider, quartal_server, sessions_of

PAGE = "/enrollment/docs"
RENEWAL = f"/session?next={PAGE}"
NO_REFRESH: Mapping[str, Any] = {"grant_types": ["authorization_code"]}
POST: Mapping[str, Any] = {"token_endpoint_auth_method": "client_secret_post"}
PUBLIC: Mapping[str, Any] = {"token_endpoint_auth_method": "none", "client_secret": None}


@pytest.fixture(scope="module", params=[POST, PUBLIC], ids=["secret in the form", "public client"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    methods = {"clientAuthMethods": ["client_secret_post", "none"]}
    with open_provider(tmp_path_factory, methods, **NO_REFRESH, **request.param) as provider:
        yield provider


@pytest.fixture(scope="module")
def server(
    databases: Mapping[str, str], provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuartalServer]:
    """The API of enrollment, started while the provider is away."""
    with provider.unreachable():
        server = quartal_server(tmp_path_factory, databases, provider, *ENROLLMENT_ALONE)
        server.start()
        with closing(Browser(server.url)) as early:
            page = early.visit("/session/sign-in")
    assert (page.status_code, "The identity provider of your hospital does not answer" in page.text) == (503, True)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def visitor(server: QuartalServer) -> Iterator[Browser]:
    browser = Browser(server.url)
    yield browser
    browser.close()


async def test_session_is_renewed_by_a_visit_to_the_provider_that_shows_nothing(
    visitor: Browser, enrollment_database: Database, study_id: str
) -> None:
    visitor.sign_in(study_id, PAGE)
    (before,) = await sessions_of(enrollment_database, study_id)
    await change_session(enrollment_database, study_id, renewed_at="16 minutes", began_at="2 hours")
    visitor.forget("session")
    page = visitor.visit(RENEWAL)
    assert (page.status_code, page.url.path) == (200, PAGE)
    assert [url for url in visitor.visited if "prompt=none" in url] != []
    await change_session(enrollment_database, study_id, renewed_at="16 minutes")
    visitor.forget("session")
    page = visitor.visit("/session")
    assert ("You are signed in" in page.text, bool(visitor.cookie("session"))) == (True, True)
    (after,) = await sessions_of(enrollment_database, study_id)
    assert after["handle_hash"] == before["handle_hash"]
    assert (after["began_at"] < before["began_at"], after["renewed_at"] >= before["renewed_at"]) == (True, True)


async def test_session_ends_when_the_provider_no_longer_knows_the_person(
    visitor: Browser, provider: IdentityProvider, enrollment_database: Database, study_id: str
) -> None:
    visitor.sign_in(study_id, PAGE)
    await change_session(enrollment_database, study_id, renewed_at="16 minutes")
    provider.stop()
    provider.start()  # it keeps sessions in memory
    visitor.forget("session")
    assert "Your session has ended" in visitor.visit(RENEWAL).text
    assert await sessions_of(enrollment_database, study_id) == []
    assert not visitor.cookie("renewal")


async def test_renewal_names_the_person_who_signed_in(
    visitor: Browser, server: QuartalServer, enrollment_database: Database, study_id: str
) -> None:
    """The provider names somebody else, who has signed in there in another window of the browser."""
    visitor.sign_in(study_id, PAGE)
    await change_session(enrollment_database, study_id, renewed_at="16 minutes")
    another = Browser(server.url)
    another.sign_in(f"another-{study_id}", PAGE)
    handle = visitor.cookie("renewal")
    another.set_cookie("renewal", handle)
    another.forget("session")
    assert "Your session has ended" in another.visit(RENEWAL).text
    assert not another.cookie("session")
    another.close()
