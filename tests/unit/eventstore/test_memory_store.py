from __future__ import annotations

import pytest

from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.store import Store
from shared.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore("enrollment")
