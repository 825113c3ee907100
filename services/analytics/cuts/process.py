"""The task that seals data cuts, in the process that derives rows."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from services.analytics.cuts.repository import DueCut
from services.analytics.cuts.sealer import Sealer
from shared.postgres.errors import UNAVAILABLE
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool
from shared.retry import wait_for_event
from shared.settings import Settings

TICK_SECONDS = 2.0
_RETRY_SECONDS = 60.0
_log = logging.getLogger(__name__)


async def run_sealer(settings: Settings, stop: asyncio.Event) -> None:
    """Seals data cuts until `stop` is set. Waits while the database is unavailable."""
    url = settings.database_url("analytics", "system")
    pool = await retry_while_unavailable(lambda: open_pool(url, max_size=2))
    try:
        await seal_until(Sealer(pool, settings.study_clock()), stop)
    finally:
        await pool.close()


async def seal_until(sealer: Sealer, stop: asyncio.Event, *, interval: float = TICK_SECONDS) -> None:
    """Seals what is due at every interval. A cut that fails is tried again after a minute, and delays no other."""
    retry_at = dict[DueCut, float]()
    while not stop.is_set():
        try:
            for due in await sealer.due_cuts():
                if monotonic() >= retry_at.get(due, 0.0) and not stop.is_set():
                    await _seal(sealer, due, retry_at)
        except UNAVAILABLE as error:
            _log.warning("data cuts wait for the database: %s", type(error).__name__)
        await wait_for_event(stop, interval)


async def _seal(sealer: Sealer, due: DueCut, retry_at: dict[DueCut, float]) -> None:
    try:
        await sealer.seal(due)
        retry_at.pop(due, None)
    except UNAVAILABLE:
        raise
    except Exception:  # of any kind: such as a fact that this release cannot read
        retry_at[due] = monotonic() + _RETRY_SECONDS
        _log.exception("a data cut cannot be sealed", extra={"study_id": due.study_id})
