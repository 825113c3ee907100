"""The migration job of docker-compose.yml, run against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from infra.local.postgres import LocalPostgres
from tests.architecture.test_compose import DOCKER, OUR_CONTAINERS, run_in_container_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """Server of its own, because the migration job sets the passwords of the roles."""
    with LocalPostgres(tmp_path_factory.mktemp("postgres"), fast=True) as running:
        yield running


@pytest.fixture
def local_secrets(server: LocalPostgres, tmp_path: Path) -> Path:
    """Folder of secrets with the address of the local server in place of the container's."""
    created, local = tmp_path / "created", tmp_path / "local"
    subprocess.run(["sh", DOCKER / "secrets.sh", created], check=True)
    local.mkdir()
    for secret in created.iterdir():
        text = secret.read_text().replace("@postgres:5432", f"@127.0.0.1:{server.port}")
        (local / secret.name).write_text(server.url() if secret.name == "database_url" else text)
    return local


async def test_migration_job_creates_databases_and_roles_and_is_repeatable(local_secrets: Path) -> None:
    command = [sys.executable, *OUR_CONTAINERS["migrate"]["command"][1:]]
    first_run, repeated = [
        await asyncio.to_thread(run_in_container_environment, local_secrets, *command) for _ in range(2)
    ]
    assert first_run.returncode == 0, first_run.stderr
    assert int(first_run.stdout.split()[0]) >= len(OUR_CONTAINERS) // 2
    assert (repeated.returncode, repeated.stdout) == (0, "0 migrations applied\n")
    connection = await asyncpg.connect((local_secrets / "quartal_enrollment_app_url").read_text())
    assert await connection.fetchval("select count(*) from events") == 0
    await connection.close()
