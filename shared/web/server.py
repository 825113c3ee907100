"""How an application is served: uvicorn, told to stop in time."""

from __future__ import annotations

import resource
import sys
from typing import Any

import uvicorn

from shared.collector import settle
from shared.settings import Settings
from shared.web.connection import connection

SHUT_DOWN_WITHIN = 5  # seconds
SWITCHES_EVERY = 0.0001
"""Seconds after which a thread that reads a large body lets the event loop run."""
OTHER_FILES = 200
"""Files that a process has open besides connections of clients: databases, logs, libraries."""


class Server(uvicorn.Server):
    """Ends open event streams when it is told to stop: uvicorn waits for them before the application hears of it."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        for live in getattr(self.config.app, "streams", ()):
            live.close()
        super().handle_exit(sig, frame)


def serve(app: Any, settings: Settings, host: str = "127.0.0.1") -> None:
    config = uvicorn.Config(
        app, host, settings.port, loop="uvloop", http=connection(settings), ws="none",  # type: ignore[arg-type] # a factory
        access_log=False, log_config=None, server_header=False, timeout_keep_alive=settings.max_idle_seconds,
        timeout_graceful_shutdown=SHUT_DOWN_WITHIN, forwarded_allow_ips=settings.trusted_proxies,
    )  # fmt: skip
    settle()
    sys.setswitchinterval(SWITCHES_EVERY)
    _allow_files(settings.max_connections + OTHER_FILES)
    Server(config).run()


def _allow_files(most: int) -> None:
    """Raise the limit on open files as far as is needed and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
