from __future__ import annotations

from pathlib import Path

import uvloop

from services.analytics.app import create_app
from shared.process import INBOX, Process, settle
from shared.settings import Settings

PROJECTION = Path(__file__).parent / "projection" / "migrations"


def work(settings: Settings) -> None:
    from services.analytics.projection import worker  # the web process has no use for Faust

    folder = settings.data / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    settle()
    uvloop.run(worker.run(settings.database("analytics", "system"), settings.kafka_bootstrap, folder))


PROCESS = Process("analytics", create_app, work, (INBOX, PROJECTION))

if __name__ == "__main__":
    PROCESS.main()
