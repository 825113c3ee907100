"""A service's database knows with which key for event ids it was used."""

from __future__ import annotations

import asyncpg
import pytest

from shared.security.event_key import EventKey
from shared.security.tenancy import OtherEventKey, refuse_other_event_key
from tests.conftest import Database

KEY, OTHER = EventKey(bytes(32)), EventKey(bytes(range(32)))


async def test_a_service_refuses_another_key_than_the_one_that_its_database_was_used_with(
    fresh_database: Database,
) -> None:
    for _ in range(2):
        await refuse_other_event_key(fresh_database.app, KEY.id)
    with pytest.raises(OtherEventKey, match="QUARTAL_EVENT_KEY"):
        await refuse_other_event_key(fresh_database.app, OTHER.id)
    for change in ("update event_key set key_id = ''", "delete from event_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fresh_database.app.execute(change)
