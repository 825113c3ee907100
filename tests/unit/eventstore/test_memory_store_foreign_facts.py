from __future__ import annotations

import pytest

from shared.eventstore.memory_store import MemoryStore
from shared.testing.foreign_participant_contract import ForeignParticipantContract, Replicate
from shared.testing.replicated_memory_store import MemoryReplicatedStudies


class TestMemoryStoreForeignFacts(ForeignParticipantContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore("followup")

    @pytest.fixture
    def replicate(self, store: MemoryStore) -> Replicate:
        return MemoryReplicatedStudies(store).apply_events

    @pytest.fixture
    def study_id(self) -> str:
        return "study-1"
