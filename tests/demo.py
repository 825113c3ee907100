"""A running demo, as `make demo` starts it, on a free port, with its own data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.cli.up import DEFAULTS
from infra.issuer import Issuer
from infra.local.ports import free_port
from infra.reference.study import CRITERIA, FROZEN_TODAY, SITE_ID, STUDY_ID, subject
from shared.kernel.clock import Clock

CHECKOUT = Path(__file__).resolve().parents[1]
READY_TIMEOUT_SECONDS = 180.0
APPLY_TIMEOUT_SECONDS = 30.0
OPENER = "opener"
"""A member who may open a study under any id; administrators of the demo may open one under their own."""
SAME_ORIGIN_HEADERS = {"Sec-Fetch-Site": "same-origin"}
"""Headers that a browser adds to a form of the same origin. Other clients do not state an origin."""
SCREENING_DATA = {
    "site_id": SITE_ID,
    "screened_on": FROZEN_TODAY,
    "sex": "female",
    "birth_year": 1952,
    "criteria": {criterion["id"]: "met" for criterion in CRITERIA},
}
"""Screening of a participant of the reference study, today."""


@dataclass
class Demo:
    """`quartal demo` with a data folder and a port. It may be stopped, killed and started again with the same data."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        settings = {"QUARTAL_DATA": str(self.data), "QUARTAL_PORT": str(self.port), **self.settings}
        return {**os.environ, **settings, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def start(self) -> None:
        log_offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", "demo", *self.options],
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
            )
        self._wait_until_ready(log_offset)

    def _wait_until_ready(self, log_offset: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while f"Ready: {self.url}" not in self.log.read_text()[log_offset:]:
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the demo is not ready:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Sends a signal; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal_number)
        return self.process.wait(60)

    def token(self, role: str, site: str | None = None, study: str = "atc-rt", name: str | None = None) -> str:
        issuer = Issuer.load(self.data / "issuer")
        return issuer.token(name or subject(study, role, site), now=Clock().now())

    def client(self, role: str, site: str | None = None, study: str = "atc-rt", **headers: str) -> httpx.Client:
        """Returns a client of a member with this role; its paths begin at the root of the server."""
        all_headers = {"Authorization": f"Bearer {self.token(role, site, study)}", **headers}
        return httpx.Client(base_url=self.url, headers=all_headers, timeout=30, trust_env=False)

    def register(self, *facts: Mapping[str, Any], role: str = "site") -> dict[str, Any]:
        """Registers a participant of the reference study; returns the answer when analytics has applied the facts."""
        answer: dict[str, Any]
        with self.client(role, SITE_ID) as http:
            participants = f"v1/studies/{STUDY_ID}/participants"
            response = http.post(f"/enrollment/{participants}", json={"facts": facts})
            answer = response.raise_for_status().json()
            timeline = f"/analytics/{participants}/{answer['participant_id']}/timeline.json"
            deadline = time.monotonic() + APPLY_TIMEOUT_SECONDS
            while (applied := http.get(timeline)).status_code == 404 and time.monotonic() < deadline:
                time.sleep(0.02)
            applied.raise_for_status()
        return answer

    def figure(self, name: str, study: str = "atc-rt", role: str = "investigator", **params: str) -> dict[str, Any]:
        with self.client(role, study=study) as http:
            response = http.get(f"/analytics/v1/studies/{study}/figures/{name}.json", params=params)
            response.raise_for_status()
            return dict(response.json())


def create_demo(**settings: str) -> Demo:
    folder = Path(tempfile.mkdtemp(prefix="quartal-"))
    return Demo(folder / "data", free_port(), settings=settings)


@contextmanager
def open_demo() -> Iterator[Demo]:
    """Runs a demo for the tests of a folder, which add to it and leave it running.

    Its simulated study grows slowly: each fact takes processor time from the tests.
    """
    running = create_demo(QUARTAL_ADMINISTRATORS=f"{DEFAULTS['QUARTAL_ADMINISTRATORS']},{OPENER}")
    running.options = ("--facts-per-second", "0.05")
    try:
        running.start()
        yield running
    finally:
        if running.process and running.process.poll() is None:
            running.stop()
        shutil.rmtree(running.data.parent)
