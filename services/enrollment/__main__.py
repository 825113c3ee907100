"""Starts the processes of the enrollment service: `python -m services.enrollment api | worker | migrate`."""

from __future__ import annotations

from pathlib import Path

from shared.postgres.migrations import Migrations
from shared.runtime.service_process import EVENT_STORE, ServiceProcess, relay_task, run_until_signal
from shared.settings import Settings


def run_worker(settings: Settings) -> None:
    run_until_signal(settings, relay_task("enrollment"))


SESSIONS = Migrations("sessions", Path(__file__).parent / "sign_in" / "migrations")
SERVICE_PROCESS = ServiceProcess("enrollment", "services.enrollment.app", run_worker, (EVENT_STORE, SESSIONS))

if __name__ == "__main__":
    SERVICE_PROCESS.main()
