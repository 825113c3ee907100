"""A study's own facts as they stand, kept in memory between requests and read anew when they have moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from shared.contracts.event import stated_facts
from shared.eventstore.store import Store
from shared.kernel.errors import NotFound
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record, current_record
from shared.security.grants import Rights, rights_from_record
from shared.security.tenancy import Tenant


@dataclass(frozen=True, slots=True)
class StudyState:
    """Version 0: there is no such study."""

    version: int
    record: Record
    _rights_by_member: dict[str, Rights] = field(default_factory=dict, repr=False, compare=False)

    def rights(self, member: str) -> Rights:
        """What the member's standing grants allow."""
        if member not in self._rights_by_member:
            self._rights_by_member[member] = rights_from_record(self.record, member)
        return self._rights_by_member[member]


class Studies(Protocol):
    async def current(self, study_id: str) -> StudyState:
        """What is known here; it may have moved since."""
        ...

    async def reload(self, study_id: str) -> StudyState:
        """What is recorded now."""
        ...


FactsLoader = Callable[[], Iterable[StatedFact[Fact]]]


class StudyCache(ABC):
    """Studies as they were read last; a subclass says where from."""

    def __init__(self, *, cache_size: int = 200) -> None:
        self._cache_size, self._cache = cache_size, dict[str, StudyState]()

    async def current(self, study_id: str) -> StudyState:
        return self._cache.get(study_id) or await self.reload(study_id)

    async def at_version(self, study_id: str, version: int) -> StudyState:
        """Read anew unless that very version is known."""
        cached = self._cache.get(study_id)
        return cached if cached and cached.version == version else await self.reload(study_id)

    async def reload(self, study_id: str) -> StudyState:
        version, load_facts = await self._load(study_id)
        state = self._cache.pop(study_id, None)
        if state is None or state.version != version:
            state = StudyState(version, current_record(load_facts()))
        if state.version:
            self._cache[study_id] = state
        if len(self._cache) > self._cache_size:
            del self._cache[next(iter(self._cache))]
        return state

    @abstractmethod
    async def _load(self, study_id: str) -> tuple[int, FactsLoader]:
        """The version of the study's stream, 0 if there is none, and what gives its facts in order."""


class OwnStudies(StudyCache):
    """The studies of the service that records them itself."""

    def __init__(self, store: Store, *, cache_size: int = 200) -> None:
        super().__init__(cache_size=cache_size)
        self._store = store

    async def _load(self, study_id: str) -> tuple[int, FactsLoader]:
        async with self._store.unit(Tenant(study_id)) as unit:
            stream = await unit.load_stream(study_id)
        return stream.head.version, lambda: stated_facts(stream.events)


async def load_rights(studies: Studies, study_id: str, member: str) -> tuple[Rights, StudyState]:
    """What somebody may read in a study, by the grants of this moment; NotFound for who has none."""
    study = await studies.reload(study_id)
    member_rights = study.rights(member)
    if not member_rights.grants:
        raise NotFound
    return member_rights, study
