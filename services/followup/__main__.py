from __future__ import annotations

from shared.process import EVENT_STORE, INBOX, REGISTRY, Process, inbox_of, relay_of, until_stopped
from shared.settings import Settings


def work(settings: Settings) -> None:
    until_stopped(settings, relay_of("followup"), inbox_of("followup", ["quartal.enrollment.v1"]))


PROCESS = Process("followup", "services.followup.app", work, (EVENT_STORE, INBOX, REGISTRY))

if __name__ == "__main__":
    PROCESS.main()
