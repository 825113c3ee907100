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

from infra.cli.relay import app as relay_command
from infra.cli.relay import republish
from infra.cli.settings_source import read_settings
from infra.issuer import Issuer
from infra.local.kafka import LocalKafka, install_kafka
from infra.local.postgres import LocalPostgres, find_binaries
from infra.postgres.roles import ensure_databases
from services.enrollment.__main__ import SERVICE_PROCESS
from services.enrollment.app import create_app
from shared.kernel.clock import Clock
from shared.outbox.lease import RestoredDatabase
from shared.outbox.maintenance import load_shard_status
from shared.postgres.tenancy import open_pool
from shared.runtime.service_process import migrate, relay_task
from shared.security.vault import make_key_file
from shared.settings import Settings
from shared.testing.builders import facts
from tests.api.support.study import body
from tests.conftest import PASSWORDS
from tests.polling import wait_until

TIMEOUT_SECONDS = 60.0
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
        """Runs the worker during the block; at its end everything is published."""
        stop = asyncio.Event()
        working = asyncio.create_task(relay_task("enrollment")(self.settings, stop))
        try:
            yield
            await self.wait_until_published()
        finally:
            stop.set()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await working

    async def worker_refusal(self) -> str:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with pytest.raises(RestoredDatabase) as refusal:
                await relay_task("enrollment")(self.settings, asyncio.Event())
        return str(refusal.value)

    async def wait_until_published(self) -> None:
        async with await open_pool(self.settings.database_url("enrollment", "system")) as pool:

            async def has_published_everything() -> bool:
                return not any(shard.lag for shard in await load_shard_status(pool))

            await wait_until(has_published_everything, TIMEOUT_SECONDS)

    async def count_events(self) -> int:
        return int(await self.query_value("select count(*) from events"))

    async def query_value(self, statement: str, database: str = NAME) -> int | str:
        connection = await asyncpg.connect(self.server.url(database))
        try:
            value: int | str = await connection.fetchval(statement)
            return value
        finally:
            await connection.close()

    async def grant(self, http: httpx.AsyncClient, member: str) -> httpx.Response:
        body = {"member": member.replace(" ", "-"), "role": "monitor", "site_id": None}
        return await http.post(f"{STUDIES}/{STUDY}/facts/study.member_granted", json=body, headers=self.headers)

    async def grant_when_available(self, http: httpx.AsyncClient, member: str) -> None:
        """Returns when it is recorded; the API asks to come again meanwhile."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            response = await self.grant(http, member)
            while response.status_code == 503:
                await asyncio.sleep(0.05)
                response = await self.grant(http, member)
        assert response.status_code == 201, response.text

    async def assert_grant_refused(self, http: httpx.AsyncClient, member: str) -> None:
        before = await self.count_events()
        response = await self.grant(http, member)
        assert (response.status_code, response.json()["type"]) == (503, "/problems/not-confirmed"), response.text
        assert response.headers["retry-after"] == "1"
        assert await self.count_events() == before
        study_response = await http.get(f"{STUDIES}/{STUDY}", headers=self.headers)
        assert study_response.status_code == 200


@pytest.fixture
async def fresh_installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation with its own servers, since a shared topic has events that this database never had."""
    kafka = LocalKafka(tmp_path / "kafka", home=install_kafka(lambda _: None))
    with LocalPostgres(tmp_path / "postgres", fast=True) as server, kafka:
        urls = await ensure_databases(server.url(), PASSWORDS)
        issuer = Issuer.load(tmp_path / "issuer")
        for name in ("kek", "event_key"):
            make_key_file(tmp_path / name)
        settings = read_settings(
            {
                **urls,
                "KAFKA_BOOTSTRAP": kafka.bootstrap,
                "QUARTAL_ADMINISTRATORS": ADMINISTRATOR,
                "QUARTAL_JWKS": str(issuer.jwks),
                "QUARTAL_KEK": str(tmp_path / "kek"),
                "QUARTAL_EVENT_KEY": str(tmp_path / "event_key"),
            }
        )
        await migrate("enrollment", settings, SERVICE_PROCESS.migrations)
        yield Installation(server, kafka, settings, issuer)


async def open_study_when_available(installation: Installation, http: httpx.AsyncClient) -> None:
    request = {**body(facts.study_opened(facts.protocol())), "study_id": STUDY}
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (response := await http.post(STUDIES, json=request, headers=installation.headers)).status_code == 503:
            assert await installation.count_events() == 0
            await asyncio.sleep(0.05)
    assert response.status_code == 201, response.text


def copy_folder(folder: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", folder, target], check=True)


async def test_copied_back_data_folder_is_not_written_until_it_is_verified(
    fresh_installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    installation, data = fresh_installation, fresh_installation.server.cluster
    earlier_copy, later_state = data.with_name("earlier"), data.with_name("later")
    async with installation.api() as http:
        request = {**body(facts.study_opened(facts.protocol())), "study_id": STUDY}
        before = await http.post(STUDIES, json=request, headers=installation.headers)
        assert (before.status_code, await installation.count_events()) == (503, 0), (
            "before the worker has compared anything"
        )
        async with installation.worker():
            await open_study_when_available(installation, http)
            await installation.grant_when_available(http, "anna")
        await installation.grant_when_available(http, "recorded-without-worker")
    async with installation.worker():
        pass
    installation.server.stop()
    copy_folder(data, earlier_copy)
    installation.server.start()
    async with installation.api() as http:
        await installation.assert_grant_refused(http, "before the worker has compared the server that was started anew")
        async with installation.worker():
            await installation.grant_when_available(http, "bert")
            await installation.grant_when_available(http, "carl")
    count = await installation.count_events()
    installation.server.stop()
    data.rename(later_state)
    copy_folder(earlier_copy, data)

    installation.server.start()
    async with installation.api() as http:
        await installation.assert_grant_refused(http, "before the worker has looked")
        assert "restore a later one" in await installation.worker_refusal()
        assert [record.getMessage()[:34] for record in caplog.records if record.levelname == "CRITICAL"] == [
            "nothing is published or recorded: "
        ]
        await installation.assert_grant_refused(http, "after the worker has looked")
        with pytest.raises(RestoredDatabase):
            await republish(installation.settings, "enrollment")
        await installation.assert_grant_refused(http, "after a resync was refused")
    installation.server.stop()
    data.rename(data.with_name("earlier, tried"))
    later_state.rename(data)
    installation.server.start()
    async with installation.api() as http, installation.worker():
        await installation.grant_when_available(http, "dora")
    assert await installation.count_events() == count + 1


async def test_database_copy_on_the_same_running_server_is_not_written(fresh_installation: Installation) -> None:
    installation = fresh_installation
    async with installation.api() as http, installation.worker():
        await open_study_when_available(installation, http)
    await installation.query_value(f"create database backup template {NAME}", "postgres")
    async with installation.api() as http:
        async with installation.worker():
            await installation.grant_when_available(http, "anna")
        await installation.query_value(f"drop database {NAME} with (force)", "postgres")
        await installation.query_value(f"alter database backup rename to {NAME}", "postgres")
        await installation.assert_grant_refused(http, "with the API running all the time")
        await installation.worker_refusal()
        await installation.assert_grant_refused(http, "after the worker has looked")


async def test_restored_dump_is_writable_only_after_a_resync(fresh_installation: Installation) -> None:
    installation, dump = fresh_installation, fresh_installation.server.folder.parent / "dump"
    async with installation.api() as http:
        async with installation.worker():
            await open_study_when_available(installation, http)
            await installation.grant_when_available(http, "anna")
        run_postgres_program(installation, "pg_dump", "--format=custom", f"--file={dump}")
        event_count = await installation.count_events()
        run_postgres_program(installation, "pg_restore", "--clean", "--if-exists", str(dump))
        assert await installation.count_events() == event_count
        await installation.assert_grant_refused(http, "into the tables that the dump made anew")
        declined_result = await run_resync(installation, "n\n")
        assert (declined_result.exit_code, f"publish all {event_count} events again" in declined_result.output) == (
            1,
            True,
        )
        await installation.assert_grant_refused(http, "after a resync was declined")
        resync_result = await run_resync(installation, "y\n")
        assert (resync_result.exit_code, f"{event_count} events published again." in resync_result.output) == (
            0,
            True,
        ), resync_result.output
        await installation.grant_when_available(http, "bert")
        async with installation.worker():
            await installation.wait_until_published()  # by the worker, which has the lease from then on
            concurrent_result = await run_resync(installation, "y\n")
        assert (concurrent_result.exit_code, "a worker publishes now" in concurrent_result.output) == (1, True), (
            concurrent_result.output
        )
        run_postgres_program(installation, "pg_restore", "--clean", "--if-exists", str(dump))
        await installation.assert_grant_refused(http, "into an earlier state, on a server that was compared before")


async def run_resync(installation: Installation, response: str) -> Result:
    """`quartal relay resync --service enrollment`, answered so."""
    environment = {
        "QUARTAL_DATA": str(installation.server.folder / "nowhere"),
        "QUARTAL_ENROLLMENT_SYSTEM_URL": installation.settings.database_url("enrollment", "system"),
        "KAFKA_BOOTSTRAP": installation.settings.kafka_bootstrap,
    }
    arguments = ["resync", "--service", "enrollment"]
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(relay_command, arguments, input=response, env=environment)
    )


def run_postgres_program(installation: Installation, program: str, *arguments: str) -> None:
    url_parts = urlsplit(installation.server.url())
    environment = {
        "PGPASSWORD": str(url_parts.password),
        "PGHOST": str(url_parts.hostname),
        "PGPORT": str(url_parts.port),
        "PGUSER": str(url_parts.username),
    }
    command = [str(find_binaries() / program), f"--dbname={NAME}", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **environment}, capture_output=True)
