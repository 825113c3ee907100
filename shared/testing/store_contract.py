"""Contract of every store. A test class derives from `StoreContract` and has the fixtures `store` and `study_id`."""

from __future__ import annotations

import pytest

from shared.eventstore.store import Store
from shared.kernel.ids import new_participant_id
from shared.testing.append_contract import AppendContract
from shared.testing.append_requests import append_in_unit, build_append
from shared.testing.key_contract import KeyContract
from shared.testing.visibility_contract import VisibilityContract


class StoreContract(AppendContract, KeyContract, VisibilityContract):
    """Every promise of a store. `study` is a study that is open, with its own stream at version 1."""

    @pytest.fixture
    def participant(self) -> str:
        return new_participant_id()

    @pytest.fixture
    async def study(self, store: Store, study_id: str) -> str:
        """A study that is open: its own stream is at version 1."""
        await append_in_unit(store, build_append(study_id, study_id))
        return study_id
