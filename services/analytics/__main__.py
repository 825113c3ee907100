"""Starts the processes of the analytics service: `python -m services.analytics api | worker | migrate`."""

from __future__ import annotations

import gc
from pathlib import Path

import uvloop

from shared.postgres.migrations import Migrations
from shared.runtime.service_process import INBOX, ServiceProcess
from shared.settings import Settings

PROJECTION_MIGRATIONS = Migrations("projection", Path(__file__).parent / "projection" / "migrations")


def run_worker(settings: Settings) -> None:
    from services.analytics.projection import worker  # the web process has no use for Faust

    folder = settings.data / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    gc.freeze()  # collections skip the modules of Faust (ADR 21)
    system_url, clock = settings.database_url("analytics", "system"), settings.study_clock()
    uvloop.run(worker.run(system_url, settings.kafka_bootstrap, folder, clock))


SERVICE_PROCESS = ServiceProcess("analytics", "services.analytics.app", run_worker, (INBOX, PROJECTION_MIGRATIONS))

if __name__ == "__main__":
    SERVICE_PROCESS.main()
