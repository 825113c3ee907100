"""Studies' own facts, cached between requests and loaded again when they have changed."""

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
from shared.postgres.tenancy import Tenant
from shared.security.grants import Rights, rights_from_record


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study's own record at a version. Version 0: there is no such study."""

    version: int
    record: Record
    _rights_by_member: dict[str, Rights] = field(default_factory=dict, repr=False, compare=False)

    def rights(self, member: str) -> Rights:
        """Returns what the member's current grants allow."""
        if member not in self._rights_by_member:
            self._rights_by_member[member] = rights_from_record(self.record, member)
        return self._rights_by_member[member]


class Studies(Protocol):
    """The studies that a service knows."""

    async def current(self, study_id: str) -> StudyState:
        """Returns the cached state, which may be old."""
        ...

    async def reload(self, study_id: str) -> StudyState:
        """Loads the state that is recorded now."""
        ...

    def forget(self, study_id: str) -> None:
        """Drops the cached state, since this process has changed the study."""
        ...


FactsLoader = Callable[[], Iterable[StatedFact[Fact]]]


class StudyCache(ABC):
    """The studies used last. A subclass defines where they are loaded from."""

    def __init__(self, *, cache_size: int = 200) -> None:
        self._cache_size, self._cache = cache_size, dict[str, StudyState]()

    def cached(self, study_id: str) -> StudyState | None:
        return self._cache.get(study_id)

    async def current(self, study_id: str) -> StudyState:
        return self.cached(study_id) or await self.reload(study_id)

    async def at_version(self, study_id: str, version: int) -> StudyState:
        """Returns the state, loaded again unless this version is cached."""
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

    def forget(self, study_id: str) -> None:
        self._cache.pop(study_id, None)

    @abstractmethod
    async def _load(self, study_id: str) -> tuple[int, FactsLoader]:
        """Returns the version of the study's stream (0: none), and a function that returns its facts in order."""


class OwnStudies(StudyCache):
    """Studies in the service that records them."""

    def __init__(self, store: Store, *, cache_size: int = 200) -> None:
        super().__init__(cache_size=cache_size)
        self._store = store

    async def _load(self, study_id: str) -> tuple[int, FactsLoader]:
        async with self._store.unit(Tenant(study_id)) as unit:
            stream = await unit.load_stream(study_id)
        return stream.head.version, lambda: stated_facts(stream.events)


async def load_rights(studies: Studies, study_id: str, member: str) -> tuple[Rights, StudyState]:
    """Returns a member's current rights in a study, and the study. Raises NotFound for a member without grants."""
    study = await studies.reload(study_id)
    member_rights = study.rights(member)
    if not member_rights.grants:
        raise NotFound
    return member_rights, study
