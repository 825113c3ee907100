"""Sign-in with a real provider: the servers that a test module shares, and the rows of sessions as an administrator
changes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from infra.local.ports import LOOPBACK, free_port
from infra.reference.study import OPENING_DATA
from services.analytics.deriver.deriver import Deriver
from shared.contracts.study import StudyOpened
from shared.kernel.clock import Clock
from shared.postgres.statements import compose_statement
from shared.terminology.ctcae import TermNames
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import member_granted, site_activated
from shared.testing.builders.messages import as_messages
from tests.conftest import Database
from tests.identity_provider import IdentityProvider, running_provider
from tests.integration.support.analytics_database import project_messages
from tests.integration.support.quartal_server import WEB, QuartalServer, sign_in_settings


@contextmanager
def open_provider(
    folders: pytest.TempPathFactory, variations: Mapping[str, Any] | None = None, **client: Any
) -> Iterator[IdentityProvider]:
    """Runs a provider that knows a Quartal at a free port, with these members of its registration."""
    quartal_url = f"http://{LOOPBACK}:{free_port()}"
    provider = IdentityProvider(free_port(), folders.mktemp("provider"), quartal_url, client=client)
    provider.variations |= variations or {}
    with running_provider(provider):
        yield provider


def quartal_server(
    folders: pytest.TempPathFactory,
    databases: Mapping[str, str],
    provider: IdentityProvider,
    *command: str,
    **settings: str,
) -> QuartalServer:
    """Returns the server that the provider knows, which is not started."""
    port = int(provider.quartal_url.rpartition(":")[2])
    all_settings = sign_in_settings(folders.mktemp("quartal"), port, databases, provider) | settings
    return QuartalServer(folders.mktemp("logs"), all_settings, command or WEB)


@contextmanager
def running(server: QuartalServer) -> Iterator[QuartalServer]:
    try:
        yield server.start()
    finally:
        server.stop()


async def add_study(database: Database, study_id: str, member: str) -> str:
    """Adds a study with this investigator to analytics; returns the address of its first page."""
    study = EventStream(study_id, study_id)
    opened = StudyOpened.model_validate(OPENING_DATA)
    study.record(opened, site_activated("rome"), member_granted(member, "investigator"))
    await project_messages(database.system, as_messages(study.events))
    await Deriver(database.system, TermNames(), Clock()).derive_study(study_id)
    return f"/analytics/studies/{study_id}"


async def change_session(database: Database, subject: str, **ages: str) -> None:
    """Makes a session older: `renewed_at="2 minutes"` puts the last renewal two minutes back."""
    for column, age in ages.items():
        statement = compose_statement(
            "update sessions set {column} = now() - $2::text::interval where subject = $1", column=column
        )
        assert await _as_superuser(database, statement, subject, age) == "UPDATE 1"


async def sessions_of(database: Database, subject: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database.superuser_url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch("select * from sessions where subject = $1", subject)
        return rows
    finally:
        await connection.close()


async def change_keys(database: Database, statement: str, *values: Any) -> str:
    """Changes the keys that sign tokens."""
    return await _as_superuser(database, statement, *values)


async def _as_superuser(database: Database, statement: str, *values: Any) -> str:
    connection = await asyncpg.connect(database.superuser_url)
    try:
        result: str = await connection.execute(statement, *values)
        return result
    finally:
        await connection.close()
