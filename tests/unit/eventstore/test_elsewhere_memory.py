from __future__ import annotations

import pytest

from shared.eventstore.memory import MemoryStore
from shared.testing.elsewhere import Heard
from shared.testing.elsewhere_contract import ElsewhereContract, Tell


class TestMemoryStore(ElsewhereContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore("followup")

    @pytest.fixture
    def tell(self, store: MemoryStore) -> Tell:
        return Heard(store).tell

    @pytest.fixture
    def study_id(self) -> str:
        return "study-1"
