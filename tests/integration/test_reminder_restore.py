"""A database that was put back to an earlier state plans and sends no reminder until it has read back what was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from services.analytics.reminders.restore import restore_reminders
from shared.outbox.confirmation import compare_and_confirm, confirm_database
from shared.outbox.lease import RestoredDatabase
from shared.outbox.maintenance import resync
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.testing.builders import facts
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.reminded_study import RemindedStudy, subscriber
from tests.integration.test_restore_guard import SingleTopicPublisher

SET_BACK = """
    set session_replication_role = replica;
    delete from events;
    delete from streams;
    delete from outbox;
    delete from reminder_delivery;
    delete from reminder;
    delete from reminder_progress;
    delete from confirmation
"""


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


async def test_a_restored_database_sends_nothing_until_it_has_read_back_what_was_sent(
    own_database: Database, kafka: KafkaServer, publisher: KafkaPublisher, study_id: str
) -> None:
    pool, topic = own_database.system, f"{study_id}.reminders.v1"
    await confirm_database(pool)
    study = RemindedStudy(own_database, study_id, [subscriber("nurse@berlin", "berlin")])
    await study.open(facts.site_activated("berlin", zone="Europe/Berlin", country="DE"))
    await study.treat("2025-01-15")
    await study.live("2025-03-31", "2025-04-01")
    before = await study.log("reminder_id, step, addressee, target, day, state, reason, changed_on")
    assert await study.sent() == ["04-01 open site"]
    await ensure_topics(kafka.bootstrap, [topic])
    assert await resync(pool, SingleTopicPublisher(publisher, topic), "reminders") == 2

    await study.execute(SET_BACK)
    study.worker = study.new_worker()
    assert await study.tick() == "comparison"
    assert await study.log() == []
    with pytest.raises(RestoredDatabase):
        await compare_and_confirm(pool, kafka.bootstrap, topic)
    assert await restore_reminders(pool, kafka.bootstrap, topic) == 2
    await compare_and_confirm(pool, kafka.bootstrap, topic, tail=None)
    await study.tick()
    assert await study.log("reminder_id, step, addressee, target, day, state, reason, changed_on") == before
    assert await study.sent() == ["04-01 open site"]
