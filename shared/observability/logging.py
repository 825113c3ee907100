"""Logs as one JSON object a line, with names of things and codes; never the content of a fact."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from math import inf

import structlog
import structlog.tracebacks

_WITHOUT_VALUES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Where it happened: local variables hold what sites have sent, and tokens."""


_OF_KAFKA = ("aiokafka", "faust", "mode", "shared.kafka")


class Unrepeated(logging.Filter):
    """Shows what the Kafka clients say again and again while a broker or a topic is away once in `seconds`.

    The next line of the same words says how many were left out.
    """

    def __init__(self, seconds: float = 30.0, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._now = seconds, now
        self._shown: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_OF_KAFKA):
            return True
        key, now = (record.name, record.getMessage()), self._now()
        shown_at, left_out = self._shown.get(key, (-inf, 0))
        if now - shown_at < self._seconds:
            self._shown[key] = shown_at, left_out + 1
            return False
        self._shown = {each: at for each, at in self._shown.items() if now - at[0] < 2 * self._seconds}
        self._shown[key] = now, 0
        if left_out:
            record.msg, record.args = f"{key[1]} (and {left_out} times since it was last logged)", ()
        return True


def configure(process: str, level: str = "INFO") -> None:
    """Send the standard library's logging, and structlog's, through one renderer to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(_WITHOUT_VALUES),
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=[*shared, _named(process)],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(renderer)
    handler.addFilter(Unrepeated())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("aiokafka", "httpx", "httpcore", "faust", "mode"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _named(process: str) -> structlog.typing.Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"process": process, **event}

    return add
