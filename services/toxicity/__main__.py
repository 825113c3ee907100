from __future__ import annotations

from shared.process import EVENT_STORE, INBOX, REGISTRY, Process, inbox_of, relay_of, until_stopped
from shared.settings import Settings


def work(settings: Settings) -> None:
    until_stopped(settings, relay_of("toxicity"), inbox_of("toxicity", ["quartal.enrollment.v1"]))


PROCESS = Process("toxicity", "services.toxicity.app", work, (EVENT_STORE, INBOX, REGISTRY))

if __name__ == "__main__":
    PROCESS.main()
