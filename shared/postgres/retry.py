"""A database that is away or busy is waited for, by whoever has nobody to tell that it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

T = TypeVar("T")
TRANSIENT_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of a conversation
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
_log = logging.getLogger(__name__)


async def retry_while_unavailable(operation: Callable[[], Awaitable[T]]) -> T:
    """What `act` gives, tried again for as long as the database is away or busy."""
    delay = 0.1
    while True:
        try:
            return await operation()
        except (*TRANSIENT_ERRORS, asyncpg.InterfaceError) as error:
            if isinstance(error, asyncpg.InterfaceError) and "connection is closed" not in str(error):
                raise  # a mistake of ours, not a connection that went away
            _log.warning("the database does not answer (%s): trying again in %.1f s", type(error).__name__, delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, 5.0)
