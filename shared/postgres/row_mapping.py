"""Types of columns as Python values, where asyncpg has a class of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg


async def use_standard_uuids(connection: asyncpg.Connection[Any]) -> None:
    """Makes the connection read and write `uuid` columns as `uuid.UUID`, not as asyncpg's subclass of it."""
    await connection.set_type_codec(
        "uuid",
        schema="pg_catalog",
        encoder=lambda value: value.bytes,
        decoder=lambda value: UUID(bytes=value),
        format="binary",
    )
