"""How an application is served: uvicorn, told to stop in time."""

from __future__ import annotations

from typing import Any

import uvicorn

from shared.collector import settle
from shared.settings import Settings

SHUT_DOWN_WITHIN = 5  # seconds


class Server(uvicorn.Server):
    """Ends open event streams when it is told to stop: uvicorn waits for them before the application hears of it."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        for live in getattr(self.config.app, "streams", ()):
            live.close()
        super().handle_exit(sig, frame)


def serve(app: Any, settings: Settings, host: str = "127.0.0.1") -> None:
    config = uvicorn.Config(
        app, host, settings.port, loop="uvloop", access_log=False, log_config=None, server_header=False,
        timeout_graceful_shutdown=SHUT_DOWN_WITHIN, forwarded_allow_ips=settings.trusted_proxies,
    )  # fmt: skip
    settle()
    Server(config).run()
