"""The loop that seals what is due, in the process that derives rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic
from typing import Protocol, TypeVar

from shared.postgres.errors import UNAVAILABLE
from shared.retry import wait_for_event

TICK_SECONDS = 2.0
_RETRY_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Due(Protocol):
    """A thing of a study that can be sealed."""

    @property
    def study_id(self) -> str: ...


D = TypeVar("D", bound=Due)


class Sealing(Protocol[D]):
    """Finds what can be sealed, and seals it."""

    async def due(self) -> Sequence[D]: ...

    async def seal(self, due: D, /) -> bool: ...


async def seal_until(sealer: Sealing[D], stop: asyncio.Event, *, interval: float = TICK_SECONDS) -> None:
    """Seals what is due at every interval. What fails is tried again after a minute, and delays nothing else."""
    retry_at = dict[D, float]()
    while not stop.is_set():
        try:
            for due in await sealer.due():
                if monotonic() >= retry_at.get(due, 0.0) and not stop.is_set():
                    await _seal(sealer, due, retry_at)
        except UNAVAILABLE as error:
            _log.warning("data cuts wait for the database: %s", type(error).__name__)
        await wait_for_event(stop, interval)


async def _seal(sealer: Sealing[D], due: D, retry_at: dict[D, float]) -> None:
    try:
        await sealer.seal(due)
        retry_at.pop(due, None)
    except UNAVAILABLE:
        raise
    except Exception:  # of any kind: such as a fact that this release cannot read
        retry_at[due] = monotonic() + _RETRY_SECONDS
        _log.exception("a data cut cannot be sealed", extra={"study_id": due.study_id})
