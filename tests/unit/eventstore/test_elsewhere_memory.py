from __future__ import annotations

import pytest

from shared.eventstore.memory import MemoryStore
from shared.testing.elsewhere import MemoryReplicatedStudies
from shared.testing.elsewhere_contract import ForeignParticipantContract, Replicate


class TestMemoryStoreForeignFacts(ForeignParticipantContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore("followup")

    @pytest.fixture
    def tell(self, store: MemoryStore) -> Replicate:
        return MemoryReplicatedStudies(store).apply_events

    @pytest.fixture
    def study_id(self) -> str:
        return "study-1"
