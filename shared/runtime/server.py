"""Serves an application with uvicorn."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn

from shared.settings import Settings
from shared.web.connection import connection_class
from shared.web.container import Streams

SHUTDOWN_TIMEOUT_SECONDS = 5
THREAD_SWITCH_SECONDS = 0.0001
"""Interval after which a thread that parses a large body yields to the event loop."""
GC_THRESHOLDS = (20_000, 20, 100)
"""Arguments of `gc.set_threshold`: full collections are rare. One stops a server with a full stream cache for 0.1 s."""
RESERVED_FILES = 200
"""Open files of a process besides client connections: databases, logs, libraries."""


class StreamClosingServer(uvicorn.Server):
    """Closes open event streams on a signal, since uvicorn waits for them before it shuts the application down."""

    def __init__(self, config: uvicorn.Config, streams: Sequence[Streams]) -> None:
        super().__init__(config)
        self._streams = streams

    def handle_exit(self, sig: int, frame: Any) -> None:
        for streams in self._streams:
            streams.close()
        super().handle_exit(sig, frame)


def serve(app: Any, settings: Settings, host: str = "127.0.0.1", *, streams: Sequence[Streams] = ()) -> None:
    """Serves the application until SIGTERM or SIGINT; `streams` are ended first."""
    config = uvicorn.Config(
        app,
        host,
        settings.port,
        loop="uvloop",
        http=connection_class(settings),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=settings.max_idle_seconds,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_SECONDS,
        forwarded_allow_ips=settings.trusted_proxies,
    )
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    _raise_file_limit(settings.max_connections + RESERVED_FILES)
    StreamClosingServer(config, streams).run()


def _raise_file_limit(file_count: int) -> None:
    """Raises the limit on open files to `file_count`, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < file_count:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (file_count if hard == resource.RLIM_INFINITY else min(file_count, hard), hard)
        )
