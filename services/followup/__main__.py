"""Starts the processes of the followup service: `python -m services.followup api | worker | migrate`."""

from __future__ import annotations

from shared.runtime.service_process import (
    EVENT_STORE,
    INBOX,
    PARTICIPANT_REGISTRY,
    ServiceProcess,
    inbox_task,
    relay_task,
    run_until_signal,
)
from shared.settings import Settings


def run_worker(settings: Settings) -> None:
    run_until_signal(settings, relay_task("followup"), inbox_task("followup", ["quartal.enrollment.v1"]))


SERVICE_PROCESS = ServiceProcess(
    "followup", "services.followup.app", run_worker, (EVENT_STORE, INBOX, PARTICIPANT_REGISTRY)
)

if __name__ == "__main__":
    SERVICE_PROCESS.main()
