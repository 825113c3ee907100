"""Sign-in with a certified OpenID provider, from the link to the page that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from infra.local.ports import LOOPBACK, free_port
from infra.reference.study import OPENING_DATA
from services.analytics.deriver.deriver import Deriver
from shared.contracts.study import StudyOpened
from shared.kernel.clock import Clock
from shared.terminology.ctcae import TermNames
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import member_granted, site_activated
from shared.testing.builders.messages import as_messages
from tests.conftest import Database
from tests.identity_provider import IdentityProvider, running_provider
from tests.identity_provider.browser import Browser
from tests.integration.support.analytics_database import project_messages
from tests.integration.support.quartal_server import QuartalServer, sign_in_settings


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    quartal_url = f"http://{LOOPBACK}:{free_port()}"
    folder = tmp_path_factory.mktemp("provider")
    with running_provider(IdentityProvider(free_port(), folder, quartal_url)) as provider:
        yield provider


@pytest.fixture(scope="module")
def settings(
    databases: Mapping[str, str], provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    port = int(provider.quartal_url.rpartition(":")[2])
    return sign_in_settings(tmp_path_factory.mktemp("quartal"), port, databases, provider)


@pytest.fixture(scope="module")
def server(settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuartalServer]:
    server = QuartalServer(tmp_path_factory.mktemp("logs"), settings)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def visitor(server: QuartalServer) -> Iterator[Browser]:
    browser = Browser(server.url)
    yield browser
    browser.close()


async def add_study(database: Database, study_id: str, member: str) -> str:
    """Adds a study with this investigator to analytics; returns the address of its first page."""
    study = EventStream(study_id, study_id)
    opened = StudyOpened.model_validate(OPENING_DATA)
    study.record(opened, site_activated("rome"), member_granted(member, "investigator"))
    await project_messages(database.system, as_messages(study.events))
    await Deriver(database.system, TermNames(), Clock()).derive_study(study_id)
    return f"/analytics/studies/{study_id}"


@pytest.fixture
async def cohort(analytics_database: Database, study_id: str) -> str:
    """The address of a study's page, whose investigator is anna."""
    return await add_study(analytics_database, study_id, "anna")


async def test_member_signs_in_with_the_provider_and_reads_the_page_that_was_asked_for(
    visitor: Browser, cohort: str
) -> None:
    page = visitor.visit(cohort)
    assert page.url.path == "/session"
    assert "/session/sign-in?next=" in page.text
    page = visitor.sign_in("anna", cohort)
    assert (page.status_code, page.url.path) == (200, cohort)
    assert "anna" in page.text
