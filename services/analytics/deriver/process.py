"""The process that derives rows: it follows the projection by its notifications.

Many notifications of one study are one derivation. After a lost connection all studies are looked at, because a
notification may have been lost with it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import monotonic

from services.analytics.deriver.deriver import Deriver
from services.analytics.projection.study_changes import PROJECTED_CHANNEL, StudyChange
from shared.postgres.errors import UNAVAILABLE
from shared.postgres.notifications import Notification, listen_for_notifications
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool
from shared.settings import Settings
from shared.terminology.ctcae import TermNames

_FULL_CHECK_SECONDS = 30.0  # at least so often all studies are looked at, whatever was notified
_log = logging.getLogger(__name__)


async def run_deriver(settings: Settings, stop: asyncio.Event) -> None:
    """Derives what has changed until `stop` is set. Waits while the database is unavailable.

    At the start, participants whose derivation failed are tried again: another release may read their facts.
    """
    url = settings.database_url("analytics", "system")
    pool = await retry_while_unavailable(lambda: open_pool(url, max_size=2))
    deriver = Deriver(pool, TermNames(), settings.study_clock())
    changed, is_first = ChangedStudies(_FULL_CHECK_SECONDS), True
    listener = asyncio.create_task(_listen(url, changed))
    try:
        while not stop.is_set():
            for study_id in await retry_while_unavailable(deriver.studies) if changed.take_all() else changed.take():
                if not stop.is_set():
                    await retry_while_unavailable(partial(_derive, deriver, study_id, with_failed=is_first))
            is_first = False
            await changed.wait(stop)
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await pool.close()


async def _derive(deriver: Deriver, study_id: str, *, with_failed: bool) -> None:
    """Derives a study. A fault leaves its rows behind, as the operations page shows, and those of no other study.

    Errors of an unavailable database are raised.
    """
    try:
        await deriver.derive_study(study_id, with_failed=with_failed)
    except UNAVAILABLE:
        raise
    except Exception:  # of any kind: such as a fact of the study that this release cannot read
        _log.exception("the rows of a study cannot be derived", extra={"study_id": study_id})


class ChangedStudies:
    """The studies that have changed since they were taken; at first, all of them, and again after each interval."""

    def __init__(self, full_check_seconds: float) -> None:
        self._studies, self._wake = set[str](), asyncio.Event()
        self._full_check_seconds, self._full_check_at = full_check_seconds, 0.0

    def add(self, study_id: str) -> None:
        self._studies.add(study_id)
        self._wake.set()

    def add_all(self) -> None:
        """Any study may have changed."""
        self._full_check_at = 0.0
        self._wake.set()

    def take_all(self) -> bool:
        """Returns whether any study may have changed; then none has until the next interval is over."""
        if (now := monotonic()) < self._full_check_at:
            return False
        self._full_check_at = now + self._full_check_seconds
        self._studies.clear()
        return True

    def take(self) -> list[str]:
        """Returns the studies that have changed, and clears them."""
        studies = sorted(self._studies)
        self._studies.clear()
        return studies

    async def wait(self, stop: asyncio.Event) -> None:
        """Waits until a study changes, the interval is over, or `stop` is set."""
        waits = [asyncio.create_task(self._wake.wait()), asyncio.create_task(stop.wait())]
        seconds = max(0.0, self._full_check_at - monotonic())
        _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        self._wake.clear()


async def _listen(url: str, changed: ChangedStudies) -> None:
    async def handle(notification: Notification) -> None:
        changed.add(StudyChange.from_payload(notification.payload).study_id)

    await listen_for_notifications(url, (PROJECTED_CHANNEL,), changed.add_all, handle)
