from __future__ import annotations

from pathlib import Path

import uvloop

from shared.collector import settle
from shared.eventstore.migrate import Migrations
from shared.process import INBOX, Process
from shared.settings import Settings

PROJECTION = Migrations("projection", Path(__file__).parent / "projection" / "migrations")


def work(settings: Settings) -> None:
    from services.analytics.projection import worker  # the web process has no use for Faust

    folder = settings.data / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    settle()
    uvloop.run(worker.run(settings.database("analytics", "system"), settings.kafka_bootstrap, folder))


PROCESS = Process("analytics", "services.analytics.app", work, (INBOX, PROJECTION))

if __name__ == "__main__":
    PROCESS.main()
