from __future__ import annotations

import pytest

from shared.eventstore.memory import MemoryStore
from shared.testing.elsewhere import known_by
from shared.testing.elsewhere_contract import ElsewhereContract, Tell


class TestMemoryStore(ElsewhereContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore("followup")

    @pytest.fixture
    def tell(self, store: MemoryStore) -> Tell:
        return known_by(store)

    @pytest.fixture
    def study_id(self) -> str:
        return "study-1"
