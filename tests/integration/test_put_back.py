"""A database that an operator put back records nothing until it was compared with what was published."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from infra.cli.environment import settings_of
from infra.cli.relay import app as relay_command
from infra.cli.relay import resynced
from infra.issuer import Issuer
from infra.local.kafka import LocalKafka, install
from infra.local.postgres import LocalPostgres, find_binaries
from infra.postgres.roles import ensure_databases
from services.enrollment.__main__ import PROCESS
from services.enrollment.app import create_app
from shared.kernel.clock import Clock
from shared.outbox.lease import RestoredDatabase
from shared.outbox.upkeep import status
from shared.process import migrate, relay_of
from shared.security.tenancy import open_pool
from shared.security.vault import make_key_file
from shared.settings import Settings
from shared.testing import facts
from tests.api.own_study import body
from tests.conftest import PASSWORDS

PATIENCE = 60.0
STUDIES, STUDY, ADMINISTRATOR = "/enrollment/v1/studies", "put-back", "administrator"
NAME = "quartal_enrollment"


@dataclass
class Installation:
    """A PostgreSQL and a Kafka of its own, and enrollment on them."""

    server: LocalPostgres
    kafka: LocalKafka
    settings: Settings
    issuer: Issuer

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(ADMINISTRATOR, now=Clock().now())}"}

    @asynccontextmanager
    async def api(self) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(self.settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http,
        ):
            yield http

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """At work for the length of the block, at the end of which all is published."""
        stop = asyncio.Event()
        working = asyncio.create_task(relay_of("enrollment")(self.settings, stop))
        try:
            yield
            await self.published()
        finally:
            stop.set()
            async with asyncio.timeout(PATIENCE):
                await working

    async def refused_by_the_worker(self) -> str:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(RestoredDatabase) as refused:
                await relay_of("enrollment")(self.settings, asyncio.Event())
        return str(refused.value)

    async def published(self) -> None:
        async with await open_pool(self.settings.database("enrollment", "system")) as pool, asyncio.timeout(PATIENCE):
            while any(shard.lag for shard in await status(pool)):  # noqa: ASYNC110 - a database has no event for it
                await asyncio.sleep(0.05)

    async def events(self) -> int:
        return int(await self.asked("select count(*) from events"))

    async def asked(self, statement: str, database: str = NAME) -> int | str:
        connection = await asyncpg.connect(self.server.url(database))
        try:
            value: int | str = await connection.fetchval(statement)
            return value
        finally:
            await connection.close()

    async def grant(self, http: httpx.AsyncClient, member: str) -> httpx.Response:
        said = {"member": member.replace(" ", "-"), "role": "monitor", "site_id": None}
        return await http.post(f"{STUDIES}/{STUDY}/facts/study.member_granted", json=said, headers=self.headers)

    async def granted(self, http: httpx.AsyncClient, member: str) -> None:
        """Returns when it is recorded; the API asks to come again meanwhile."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.grant(http, member)).status_code == 503:  # noqa: ASYNC110 - as a client does
                await asyncio.sleep(0.05)
        assert answer.status_code == 201, answer.text

    async def is_refused(self, http: httpx.AsyncClient, member: str) -> None:
        before = await self.events()
        answer = await self.grant(http, member)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-confirmed"), answer.text
        assert answer.headers["retry-after"] == "1"
        assert await self.events() == before
        read = await http.get(f"{STUDIES}/{STUDY}", headers=self.headers)
        assert read.status_code == 200


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installation]:
    """With servers of its own: on others' topic there are events that this database never had."""
    kafka = LocalKafka(tmp_path / "kafka", home=install(lambda _: None))
    with LocalPostgres(tmp_path / "postgres", fast=True) as server, kafka:
        urls = await ensure_databases(server.url(), PASSWORDS)
        issuer = Issuer.load(tmp_path / "issuer")
        for name in ("kek", "event_key"):
            make_key_file(tmp_path / name)
        settings = settings_of({
            **urls, "KAFKA_BOOTSTRAP": kafka.bootstrap, "QUARTAL_ADMINISTRATORS": ADMINISTRATOR,
            "QUARTAL_JWKS": str(issuer.jwks), "QUARTAL_KEK": str(tmp_path / "kek"),
            "QUARTAL_EVENT_KEY": str(tmp_path / "event_key"),
        })  # fmt: skip
        await migrate("enrollment", settings, PROCESS.migrations)
        yield Installation(server, kafka, settings, issuer)


async def opened(here: Installation, http: httpx.AsyncClient) -> None:
    said = {**body(facts.opened(facts.protocol())), "study_id": STUDY}
    async with asyncio.timeout(PATIENCE):
        while (answer := await http.post(STUDIES, json=said, headers=here.headers)).status_code == 503:
            assert await here.events() == 0
            await asyncio.sleep(0.05)
    assert answer.status_code == 201, answer.text


def copy(folder: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", folder, to], check=True)


async def test_a_copy_of_the_folder_that_was_put_back_is_not_recorded_into(
    installed: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    here, data = installed, installed.server.cluster
    earlier, later = data.with_name("earlier"), data.with_name("later")
    async with here.api() as http:
        said = {**body(facts.opened(facts.protocol())), "study_id": STUDY}
        before = await http.post(STUDIES, json=said, headers=here.headers)
        assert (before.status_code, await here.events()) == (503, 0), "before the worker has compared anything"
        async with here.worker():
            await opened(here, http)
            await here.granted(http, "anna")
        await here.granted(http, "recorded-without-worker")
    async with here.worker():
        pass
    here.server.stop()
    copy(data, earlier)
    here.server.start()
    async with here.api() as http:
        await here.is_refused(http, "before the worker has compared the server that was started anew")
        async with here.worker():
            await here.granted(http, "bert")
            await here.granted(http, "carl")
    count = await here.events()
    here.server.stop()
    data.rename(later)
    copy(earlier, data)

    here.server.start()
    async with here.api() as http:
        await here.is_refused(http, "before the worker has looked")
        assert "restore a later one" in await here.refused_by_the_worker()
        assert [each.getMessage()[:34] for each in caplog.records if each.levelname == "CRITICAL"] == [
            "nothing is published or recorded: "
        ]
        await here.is_refused(http, "after the worker has looked")
        with pytest.raises(RestoredDatabase):
            await resynced(here.settings, "enrollment")
        await here.is_refused(http, "after a resync was refused")
    here.server.stop()
    data.rename(data.with_name("earlier, tried"))
    later.rename(data)
    here.server.start()
    async with here.api() as http, here.worker():
        await here.granted(http, "dora")
    assert await here.events() == count + 1


async def test_a_copy_of_the_database_on_the_same_running_server_is_not_recorded_into(installed: Installation) -> None:
    here = installed
    async with here.api() as http, here.worker():
        await opened(here, http)
    await here.asked(f"create database backup template {NAME}", "postgres")
    async with here.api() as http:
        async with here.worker():
            await here.granted(http, "anna")
        await here.asked(f"drop database {NAME} with (force)", "postgres")
        await here.asked(f"alter database backup rename to {NAME}", "postgres")
        await here.is_refused(http, "with the API running all the time")
        await here.refused_by_the_worker()
        await here.is_refused(http, "after the worker has looked")


async def test_a_dump_is_recorded_into_once_it_was_compared(installed: Installation) -> None:
    here, dump = installed, installed.server.folder.parent / "dump"
    async with here.api() as http:
        async with here.worker():
            await opened(here, http)
            await here.granted(http, "anna")
        run(here, "pg_dump", "--format=custom", f"--file={dump}")
        before = await here.events()
        run(here, "pg_restore", "--clean", "--if-exists", str(dump))
        assert await here.events() == before
        await here.is_refused(http, "into the tables that the dump made anew")
        declined = await commanded(here, "n\n")
        assert (declined.exit_code, f"publish all {before} events again" in declined.output) == (1, True)
        await here.is_refused(http, "after a resync was declined")
        done = await commanded(here, "y\n")
        assert (done.exit_code, f"{before} events published again." in done.output) == (0, True), done.output
        await here.granted(http, "bert")
        async with here.worker():
            at_work = await commanded(here, "y\n")
        assert (at_work.exit_code, "a worker publishes now" in at_work.output) == (1, True), at_work.output
        run(here, "pg_restore", "--clean", "--if-exists", str(dump))
        await here.is_refused(http, "into an earlier state, on a server that was compared before")


async def commanded(here: Installation, answer: str) -> Result:
    """`quartal relay resync --service enrollment`, answered so."""
    told = {
        "QUARTAL_DATA": str(here.server.folder / "nowhere"),
        "QUARTAL_ENROLLMENT_SYSTEM_URL": here.settings.database("enrollment", "system"),
        "KAFKA_BOOTSTRAP": here.settings.kafka_bootstrap,
    }
    asked = ["resync", "--service", "enrollment"]
    return await asyncio.to_thread(lambda: CliRunner().invoke(relay_command, asked, input=answer, env=told))


def run(here: Installation, program: str, *arguments: str) -> None:
    server = urlsplit(here.server.url())
    told = {"PGPASSWORD": str(server.password), "PGHOST": str(server.hostname), "PGPORT": str(server.port),
            "PGUSER": str(server.username)}  # fmt: skip
    command = [str(find_binaries() / program), f"--dbname={NAME}", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **told}, capture_output=True)
