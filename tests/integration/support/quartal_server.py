"""Web processes of Quartal on loopback, with the databases of the tests and an OpenID provider."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.local.child_process import Program, RunningProgram
from infra.local.ports import LOOPBACK
from tests.demo import CHECKOUT
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider

START_TIMEOUT_SECONDS = 60.0
KEY = base64.b64encode(b"the key of all modules of a run.")
"""The content of key files: the databases of a run belong to one event key."""
WEB = ("infra.local.single_port_app",)
ENROLLMENT_ALONE = ("services.enrollment", "api")


def sign_in_settings(
    folder: Path, port: int, databases: Mapping[str, str], provider: IdentityProvider
) -> dict[str, str]:
    """Returns the settings of a process whose members sign in with the provider; its files are in the folder."""
    for name in ("kek", "event_key"):
        (folder / name).write_bytes(KEY)
    (folder / "secret").write_text(f"{CLIENT_SECRET}\n")
    secret = {"QUARTAL_OIDC_CLIENT_SECRET": str(folder / "secret")} if provider.gives_secret else {}
    return {
        **databases,
        "QUARTAL_PORT": str(port),
        "QUARTAL_URL": f"http://{LOOPBACK}:{port}",
        "QUARTAL_PLAIN_HTTP": "true",
        "QUARTAL_DATA": str(folder),
        "QUARTAL_KEK": str(folder / "kek"),
        "QUARTAL_EVENT_KEY": str(folder / "event_key"),
        "QUARTAL_JWKS": f"{provider.url}/jwks",
        "QUARTAL_ISSUER": provider.url,
        "QUARTAL_AUDIENCE": f"http://{LOOPBACK}:{port}",
        "QUARTAL_OIDC_ISSUER": provider.url,
        "QUARTAL_OIDC_CLIENT_ID": CLIENT_ID,
        **secret,
    }


@dataclass
class QuartalServer:
    """A process of these settings: a module and its command."""

    folder: Path
    settings: Mapping[str, str]
    command: Sequence[str] = WEB
    _running: RunningProgram | None = None

    @property
    def url(self) -> str:
        return self.settings["QUARTAL_URL"]

    @property
    def log(self) -> Path:
        return self.folder / f"{self.command[0]}.log"

    def start(self) -> QuartalServer:
        environment = {**os.environ, **self.settings}
        argv = [sys.executable, "-m", *self.command]
        self._running = RunningProgram(Program(argv, self.log, environment, folder=CHECKOUT))
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_live():
            has_failed = self._running.has_ended or time.monotonic() > deadline
            assert not has_failed, self.log.read_text()[-3000:]
            time.sleep(0.05)
        return self

    def _is_live(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self._running:
            self._running.stop()
        self._running = None
