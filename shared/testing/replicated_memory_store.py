"""Studies of a memory store that applies the events of enrollment, as the inbox does for a real store."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.event import Event, stated_facts
from shared.contracts.participation import current_site
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.study_cache import FactsLoader, StudyCache
from shared.kernel.record import current_record


class MemoryReplicatedStudies(StudyCache):
    """The studies whose events were applied, in the order of each stream."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._store, self._events_by_stream = store, dict[tuple[str, str], list[Event]]()

    async def apply_events(self, events: Sequence[Event]) -> None:
        for event in events:
            stream = self._events_by_stream.setdefault((event.study_id, event.stream_id), [])
            stream.append(event)
            record = current_record(stated_facts(stream))
            self._store.put_foreign_facts(event.study_id, event.stream_id, current_site(record), event.version, record)

    async def _load(self, study_id: str) -> tuple[int, FactsLoader]:
        events = self._events_by_stream.get((study_id, study_id), [])
        return len(events), lambda: stated_facts(events)
