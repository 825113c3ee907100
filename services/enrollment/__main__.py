from __future__ import annotations

from shared.process import EVENT_STORE, Process, relay_of, until_stopped
from shared.settings import Settings


def work(settings: Settings) -> None:
    until_stopped(settings, relay_of("enrollment"))


PROCESS = Process("enrollment", "services.enrollment.app", work, (EVENT_STORE,))

if __name__ == "__main__":
    PROCESS.main()
