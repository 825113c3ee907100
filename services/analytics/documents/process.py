"""The task that seals data cuts with their documents, in the process that derives rows."""

from __future__ import annotations

import asyncio

from services.analytics.cuts.process import seal_until
from services.analytics.cuts.sealer import Sealer
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.sealer import DocumentSealer
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool
from shared.settings import Settings


async def run_sealer(settings: Settings, stop: asyncio.Event) -> None:
    """Seals data cuts until `stop` is set: their figures first, then their documents. Waits for the database."""
    url, clock = settings.database_url("analytics", "system"), settings.study_clock()
    pool = await retry_while_unavailable(lambda: open_pool(url, max_size=4))
    try:
        await asyncio.gather(
            seal_until(Sealer(pool, clock, list(DOCUMENTS)), stop), seal_until(DocumentSealer(pool, clock), stop)
        )
    finally:
        await pool.close()
