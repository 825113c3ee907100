"""Exceptions of a database that is unavailable, and of one that rejects a statement."""

from __future__ import annotations

import asyncpg

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection was cut within the wire protocol
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # the server shuts down or is starting
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,  # a deadlock, for instance with a migration that locks a table
)
"""Raised while the database is down, restarting, overloaded or deadlocked. Nothing was committed; try again later."""

FAILED_QUERY = (*UNAVAILABLE, asyncpg.PostgresError)
"""Every failure of a query, for work that the process does without when it fails."""


def is_misuse(error: Exception) -> bool:
    """Returns whether the error reports a wrong call of the driver, which another attempt would only repeat."""
    return isinstance(error, asyncpg.InterfaceError) and "connection is closed" not in str(error)
