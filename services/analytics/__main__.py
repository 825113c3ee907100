"""Starts the processes of the analytics service: `python -m services.analytics api | worker | deriver | migrate`."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import uvloop

from shared.postgres.migrations import Migrations
from shared.runtime.service_process import EVENT_STORE, INBOX, ServiceProcess, relay_task, run_until_signal
from shared.settings import Settings

REMINDER_STORE = replace(EVENT_STORE, left_out=frozenset({"0006_read_log.sql"}))  # the projection has a log of reads
PROJECTION_MIGRATIONS = Migrations("projection", Path(__file__).parent / "projection" / "migrations")


def run_worker(settings: Settings) -> None:
    from services.analytics.projection import worker  # the web process has no use for Faust

    folder = settings.data / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    gc.freeze()  # collections skip the modules of Faust (ADR 21)
    system_url, clock = settings.database_url("analytics", "system"), settings.study_clock()
    uvloop.run(worker.run(system_url, settings.kafka_bootstrap, folder, clock))


def run_deriver(settings: Settings) -> None:
    from services.analytics.deriver import process
    from services.analytics.documents.process import run_sealer  # the web process has no use for any of them
    from services.analytics.reminders import mail_task
    from services.analytics.reminders.reminder_task import keep_running, run_reminders

    publish = keep_running(relay_task("analytics", "reminders"))
    run_until_signal(settings, process.run_deriver, run_sealer, run_reminders, mail_task.run_mail_sender, publish)


SERVICE_PROCESS = ServiceProcess(
    "analytics",
    "services.analytics.app",
    run_worker,
    (INBOX, REMINDER_STORE, PROJECTION_MIGRATIONS),
    more_commands={"deriver": run_deriver},
)

if __name__ == "__main__":
    SERVICE_PROCESS.main()
