"""Settings of the sign-in: what does not start, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from infra.issuer import Issuer
from shared.settings import Settings
from tests.demo import CHECKOUT
from tests.identity_provider.browser import Browser
from tests.integration.support.quartal_server import ENROLLMENT_ALONE
from tests.integration.support.sign_in import open_provider, quartal_server, running

PROVIDER = "https://elsewhere.example"
GOOD: Mapping[str, str] = {
    "QUARTAL_OIDC_ISSUER": PROVIDER,
    "QUARTAL_OIDC_CLIENT_ID": "quartal",
    "QUARTAL_URL": "https://x.example",
    "QUARTAL_PLAIN_HTTP": "false",
    "QUARTAL_JWKS": f"{PROVIDER}/jwks",
    "QUARTAL_ISSUER": PROVIDER,
}


def start(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Starts a process, which is expected to end by itself."""
    environment = {**os.environ, **GOOD, **settings}
    present = {name: value for name, value in environment.items() if value}
    argv = [sys.executable, "-m", *command]
    return subprocess.run(argv, cwd=CHECKOUT, env=present, capture_output=True, text=True, timeout=60, check=False)


def settings_of(environment: Mapping[str, str]) -> Settings:
    return Settings.from_variables(environment)


def test_complete_settings_are_accepted() -> None:
    settings = settings_of(GOOD)
    assert settings.session_issuer == "https://x.example/session"
    assert settings.session_keys_url == "http://127.0.0.1:8000/session/keys"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"QUARTAL_OIDC_CLIENT_ID": ""}, "QUARTAL_OIDC_CLIENT_ID is not set"),
        ({"QUARTAL_URL": ""}, "QUARTAL_URL is not set"),
        ({"QUARTAL_URL": "https://x.example/"}, "QUARTAL_URL is a scheme and a host"),
        ({"QUARTAL_URL": "https://x.example/quartal"}, "QUARTAL_URL is a scheme and a host"),
        ({"QUARTAL_URL": "x.example"}, "QUARTAL_URL is a scheme and a host"),
        ({"QUARTAL_URL": "http://10.0.0.1"}, "QUARTAL_URL begins with https://"),
        ({"QUARTAL_OIDC_ISSUER": "http://10.0.0.1"}, "QUARTAL_OIDC_ISSUER begins with https://"),
        ({"QUARTAL_PLAIN_HTTP": "true"}, "QUARTAL_PLAIN_HTTP is set exactly when"),
        ({"QUARTAL_URL": "http://localhost:8000"}, "QUARTAL_PLAIN_HTTP is set exactly when"),
        ({"QUARTAL_ISSUER": "quartal-development"}, "the development issuer is not trusted"),
    ],
)
def test_setting_that_would_break_the_sign_in_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_of({**GOOD, **changes})


def test_service_does_not_start_with_a_provider_and_the_development_issuer() -> None:
    ended = start("services.enrollment", "api", QUARTAL_ISSUER="")
    assert ended.returncode != 0
    assert "so the development issuer is not trusted" in ended.stderr


def test_development_sign_in_cannot_be_switched_on_beside_a_provider(tmp_path: Path) -> None:
    ended = start("infra.local.single_port_app", QUARTAL_JWKS=str(Issuer.load(tmp_path).jwks))
    assert ended.returncode != 0
    assert "names the keys of the development issuer" in ended.stderr


def test_commands_that_use_the_development_issuer_refuse_a_provider(tmp_path: Path) -> None:
    ended = start("infra.cli", "up", QUARTAL_JWKS="", QUARTAL_DATA=str(tmp_path / "data"))
    assert (ended.returncode, "Set QUARTAL_JWKS to the keys of its access tokens" in ended.stderr) == (2, True)
    ended = start("infra.cli", "demo", QUARTAL_DATA=str(tmp_path / "data"))
    assert (ended.returncode, "The demo signs people in by its links" in ended.stderr) == (2, True)
    ended = start("infra.cli", "up", QUARTAL_ISSUER="", QUARTAL_DATA=str(tmp_path / "data"))
    assert (ended.returncode, "A setting is wrong" in ended.stderr) == (2, True)


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("\n", "is empty")])
def test_secret_of_the_client_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    (tmp_path / "kek").write_text("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    if content is not None:
        (tmp_path / "secret").write_text(content)
    secret = str(tmp_path / "secret")
    ended = start("services.enrollment", "api", QUARTAL_KEK=str(tmp_path / "kek"), QUARTAL_OIDC_CLIENT_SECRET=secret)
    assert ended.returncode != 0
    assert message in ended.stderr


def test_person_learns_that_the_provider_refuses_the_secret_of_the_client(
    databases: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another try would not help: those who run Quartal must know it."""
    wrong = tmp_path_factory.mktemp("wrong") / "secret"
    wrong.write_text("another secret")
    with open_provider(tmp_path_factory) as provider:
        settings = {"QUARTAL_OIDC_CLIENT_SECRET": str(wrong)}
        server = quartal_server(tmp_path_factory, databases, provider, *ENROLLMENT_ALONE, **settings)
        with running(server), closing(Browser(server.url)) as visitor:
            page = visitor.sign_in("anna", "/enrollment/docs")
            assert (page.status_code, bool(visitor.cookie("session"))) == (503, False)
            assert "does not accept Quartal&#39;s own client ID or secret" in page.text
            assert "Tell those who run Quartal." in page.text
