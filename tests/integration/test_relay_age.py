"""The age of a service's relay: how long what was recorded may have waited to be published."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.contracts.cloudevents import Message
from shared.outbox.maintenance import load_relay_age
from shared.outbox.publisher import PublishError
from tests.conftest import Database
from tests.integration.support.relay import open_study, running_relay, wait_until_published, write_versions
from tests.polling import wait_until


class UnreachablePublisher:
    """A publisher whose broker does not answer."""

    def __init__(self) -> None:
        self.attempts = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self.attempts += 1
        raise PublishError("the broker does not answer")

    async def close(self) -> None: ...


class AcceptingPublisher(UnreachablePublisher):
    """A publisher whose broker takes every message."""

    async def publish(self, messages: Sequence[Message]) -> None:
        self.attempts += 1


async def test_relay_has_no_age_before_it_has_published_for_the_first_time(fresh_database: Database) -> None:
    assert await load_relay_age(fresh_database.app) is None


async def test_age_of_an_idle_relay_stays_small_and_that_of_one_that_cannot_publish_grows(
    fresh_database: Database, study_id: str
) -> None:
    store = fresh_database.store()
    names = await open_study(store, study_id, 1)
    async with running_relay(fresh_database, AcceptingPublisher(), lease_seconds=0.3):
        await wait_until_published(fresh_database)
        before = await fresh_database.system.fetchval("select published_at from relay_cursor")
        await wait_until(lambda: _is_later(fresh_database, before))
        age = await load_relay_age(fresh_database.app)
        assert age is not None
        assert age < 5

    await write_versions(store, study_id, names, 2)
    unreachable = UnreachablePublisher()
    async with running_relay(fresh_database, unreachable, lease_seconds=0.3):
        await wait_until(lambda: _has_tried(unreachable, 1))
        stalled = await fresh_database.system.fetchval("select published_at from relay_cursor")
        await wait_until(lambda: _has_tried(unreachable, 4))
        assert await fresh_database.system.fetchval("select published_at from relay_cursor") == stalled


async def _is_later(database: Database, moment: object) -> bool:
    return bool(await database.system.fetchval("select published_at > $1 from relay_cursor", moment))


async def _has_tried(publisher: UnreachablePublisher, attempts: int) -> bool:
    await asyncio.sleep(0)
    return publisher.attempts >= attempts
