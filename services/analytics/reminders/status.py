"""The signs of life of the worker of reminders in the database, and how far it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from services.analytics.reminders.currency import Obstacle
from services.analytics.reminders.repository import SQL
from shared.postgres.tenancy import PooledConnection


async def store_status(connection: PooledConnection, study_id: str, obstacles: Collection[Obstacle]) -> None:
    """Stores the sign of life of the worker, and everything that the digests of the study wait for."""
    await connection.execute(SQL["store_status"], study_id, list(obstacles))


async def store_signs_of_life(connection: PooledConnection, study_ids: Sequence[str]) -> None:
    """Stores the sign of life of the worker in studies of which it stored one before, and whose digests do not wait."""
    await connection.execute(SQL["store_signs_of_life"], study_ids)


async def count_outcomes(connection: PooledConnection, study_id: str, *, sent: int, failed: int) -> None:
    """Adds to the numbers of sent and failed reminders of a study."""
    await connection.execute(SQL["count_outcomes"], study_id, sent, failed)


async def is_done_with(connection: PooledConnection, study_id: str, days: Mapping[str, date]) -> bool:
    """Returns whether the reminders of each site are planned for its day, and those that are due are sent."""
    return bool(await connection.fetchval(SQL["is_done"], study_id, list(days), list(days.values())))


async def count_sent(connection: PooledConnection, study_id: str, day: date) -> dict[str, int]:
    """Returns the number of reminders of each step that were sent on a day."""
    rows = await connection.fetch(SQL["count_sent"], study_id, day)
    return {row["step"]: row["reminders"] for row in rows}
