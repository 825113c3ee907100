"""A memory store that hears of enrollment's events, as the inbox lets a real one hear of them."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.enrollment import Screened, Transferred
from shared.contracts.event import Event, history
from shared.eventstore.memory import MemoryStore
from shared.eventstore.studies import Facts, RememberedStudies
from shared.kernel.record import Record, standing


class Heard(RememberedStudies):
    """The studies that were heard of, each stream's events being told in order."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._store, self._told = store, dict[tuple[str, str], list[Event]]()

    async def tell(self, events: Sequence[Event]) -> None:
        for event in events:
            stream = self._told.setdefault((event.study_id, event.stream_id), [])
            stream.append(event)
            record = standing(history(stream))
            self._store.know(event.study_id, event.stream_id, _site(record), event.version, record)

    async def _read(self, study_id: str) -> tuple[int, Facts]:
        events = self._told.get((study_id, study_id), [])
        return len(events), lambda: history(events)


def _site(record: Record) -> str | None:
    transfers = sorted(record.facts(Transferred), key=lambda transfer: transfer.on.latest)
    return transfers[-1].to_site if transfers else next((s.site_id for s in record.facts(Screened)), None)
