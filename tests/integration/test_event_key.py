"""A service's database knows with which key for event ids it was used."""

from __future__ import annotations

import asyncpg
import pytest

from shared.postgres.tenancy import EventKeyMismatch, require_event_key
from shared.security.event_key import EventKey
from tests.conftest import Database

EVENT_KEY, OTHER_EVENT_KEY = EventKey(bytes(32)), EventKey(bytes(range(32)))


async def test_service_rejects_an_event_key_other_than_the_one_its_database_was_used_with(
    fresh_database: Database,
) -> None:
    for _ in range(2):
        await require_event_key(fresh_database.app, EVENT_KEY.id)
    with pytest.raises(EventKeyMismatch, match="QUARTAL_EVENT_KEY"):
        await require_event_key(fresh_database.app, OTHER_EVENT_KEY.id)
    for change in ("update event_key set key_id = ''", "delete from event_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fresh_database.app.execute(change)
