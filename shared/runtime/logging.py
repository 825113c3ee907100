"""Configures logs: one JSON object per line, with names and codes, never the content of a fact."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from math import inf

import structlog
import structlog.tracebacks

_TRACEBACK_WITHOUT_LOCALS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Tracebacks without local variables, which contain data of sites and tokens."""
_KAFKA_LOGGERS = ("aiokafka", "faust", "mode", "shared.kafka.clients")


class RepeatFilter(logging.Filter):
    """Passes a repeated message of the Kafka clients at most once in `seconds`, as while a broker is unavailable.

    The next message of the same text reports how many were left out.
    """

    def __init__(self, seconds: float = 30.0, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._now = seconds, now
        self._last_logged: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_KAFKA_LOGGERS):
            return True
        key, now = (record.name, record.getMessage()), self._now()
        logged_at, suppressed = self._last_logged.get(key, (-inf, 0))
        if now - logged_at < self._seconds:
            self._last_logged[key] = logged_at, suppressed + 1
            return False
        self._last_logged = {
            message: entry for message, entry in self._last_logged.items() if now - entry[0] < 2 * self._seconds
        }
        self._last_logged[key] = now, 0
        if suppressed:
            record.msg, record.args = f"{key[1]} (and {suppressed} times since it was last logged)", ()
        return True


def configure_logging(process: str, level: str = "INFO") -> None:
    """Sends the logs of the standard library and of structlog through one renderer to standard error."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(_TRACEBACK_WITHOUT_LOCALS),
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=[*processors, _add_process_name(process)],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(renderer)
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for logger_name in ("aiokafka", "httpx", "httpcore", "faust", "mode"):
        logging.getLogger(logger_name).setLevel(logging.WARNING)


def _add_process_name(process: str) -> structlog.typing.Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"process": process, **event}

    return add
