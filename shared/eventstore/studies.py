"""A study's own facts as they stand, kept in memory between requests and read anew when they have moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from shared.contracts.event import history
from shared.eventstore.store import Store
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Record, standing
from shared.kernel.refusal import NotFound
from shared.security.grants import Rights, rights
from shared.security.tenancy import Tenant


@dataclass(frozen=True, slots=True)
class StudyState:
    """Version 0: there is no such study."""

    version: int
    record: Record
    _rights: dict[str, Rights] = field(default_factory=dict, repr=False, compare=False)

    def rights(self, member: str) -> Rights:
        """What the member's standing grants allow."""
        if member not in self._rights:
            self._rights[member] = rights(self.record, member)
        return self._rights[member]


class Studies(Protocol):
    async def current(self, study_id: str) -> StudyState:
        """What is known here; it may have moved since."""
        ...

    async def reload(self, study_id: str) -> StudyState:
        """What is recorded now."""
        ...


Facts = Callable[[], Iterable[Stated[Fact]]]


class RememberedStudies(ABC):
    """Studies as they were read last; a subclass says where from."""

    def __init__(self, *, most: int = 200) -> None:
        self._most, self._known = most, dict[str, StudyState]()

    async def current(self, study_id: str) -> StudyState:
        return self._known.get(study_id) or await self.reload(study_id)

    async def at(self, study_id: str, version: int) -> StudyState:
        """Read anew unless that very version is known."""
        known = self._known.get(study_id)
        return known if known and known.version == version else await self.reload(study_id)

    async def reload(self, study_id: str) -> StudyState:
        version, facts = await self._read(study_id)
        known = self._known.pop(study_id, None)
        if known is None or known.version != version:
            known = StudyState(version, standing(facts()))
        if known.version:
            self._known[study_id] = known
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return known

    @abstractmethod
    async def _read(self, study_id: str) -> tuple[int, Facts]:
        """The version of the study's stream, 0 if there is none, and what gives its facts in order."""


class StoredStudies(RememberedStudies):
    """The studies of the service that records them itself."""

    def __init__(self, store: Store, *, most: int = 200) -> None:
        super().__init__(most=most)
        self._store = store

    async def _read(self, study_id: str) -> tuple[int, Facts]:
        async with self._store.unit(Tenant(study_id)) as unit:
            recalled = await unit.recall(study_id)
        return recalled.head.version, lambda: history(recalled.events)


async def rights_in(studies: Studies, study_id: str, member: str) -> tuple[Rights, StudyState]:
    """What somebody may read in a study, by the grants of this moment; NotFound for who has none."""
    study = await studies.reload(study_id)
    held = study.rights(member)
    if not held.grants:
        raise NotFound
    return held, study
