"""Retries for background work on a database that may be unavailable for a while."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.postgres.errors import UNAVAILABLE, is_misuse
from shared.retry import Backoff

T = TypeVar("T")
RETRY_MIN_SECONDS, RETRY_MAX_SECONDS = 0.1, 5.0
_log = logging.getLogger(__name__)


async def retry_while_unavailable(operation: Callable[[], Awaitable[T]]) -> T:
    """Returns the result of `operation`, repeated with growing pauses until the database is available."""
    backoff = Backoff(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS)
    while True:
        try:
            return await operation()
        except UNAVAILABLE as error:
            if is_misuse(error):
                raise
            _log.warning(
                "the database does not answer (%s): trying again in %.1f s", type(error).__name__, backoff.seconds
            )
        await backoff.wait()
