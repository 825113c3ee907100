from __future__ import annotations

import pytest

from shared.eventstore.store import Store
from shared.testing.store_contract import StoreContract
from tests.conftest import Database


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, enrollment_database: Database) -> Store:
        return enrollment_database.store()
