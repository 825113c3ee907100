"""A memory store that hears of enrollment's events, as the inbox lets a real one hear of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from shared.contracts.enrollment import Screened, Transferred
from shared.contracts.event import Event, history
from shared.eventstore.memory import MemoryStore
from shared.kernel.record import Record, standing


def known_by(store: MemoryStore) -> Callable[[Sequence[Event]], Awaitable[None]]:
    """What tells the store events, each stream's in order."""
    told: dict[tuple[str, str], list[Event]] = {}

    async def tell(events: Sequence[Event]) -> None:
        for event in events:
            stream = told.setdefault((event.study_id, event.stream_id), [])
            stream.append(event)
            record = standing(history(stream))
            store.know(event.study_id, event.stream_id, _site(record), event.version, record)

    return tell


def _site(record: Record) -> str | None:
    transfers = sorted(record.facts(Transferred), key=lambda transfer: transfer.on.latest)
    return transfers[-1].to_site if transfers else next((s.site_id for s in record.facts(Screened)), None)
