"""Starts the processes of the toxicity service: `python -m services.toxicity api | worker | migrate`."""

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
    run_until_signal(settings, relay_task("toxicity"), inbox_task("toxicity", ["quartal.enrollment.v1"]))


SERVICE_PROCESS = ServiceProcess(
    "toxicity", "services.toxicity.app", run_worker, (EVENT_STORE, INBOX, PARTICIPANT_REGISTRY)
)

if __name__ == "__main__":
    SERVICE_PROCESS.main()
