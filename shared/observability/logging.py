"""Logs as one JSON object a line, with names of things and codes; never the content of a fact."""

from __future__ import annotations

import logging
import sys

import structlog
import structlog.tracebacks

_WITHOUT_VALUES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Where it happened: local variables hold what sites have sent, and tokens."""


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
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("aiokafka", "httpx", "httpcore", "faust", "mode"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _named(process: str) -> structlog.typing.Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"process": process, **event}

    return add
