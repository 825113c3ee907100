"""Everything that the digests of a study wait for is stored, each cause with its own time, and shown."""

from __future__ import annotations

from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from services.analytics.reminders.health import ReminderStatus, load_statuses
from services.analytics.reminders.status import store_status
from shared.inbox.consumer import Offsets
from shared.testing.builders import facts
from tests.conftest import Database
from tests.integration.support.analytics_app import open_analytics_study
from tests.integration.support.reminded_study import RemindedStudy, subscriber
from tests.integration.support.worklist import DUE, add

SITES = [facts.site_activated(site, zone="Europe/Berlin", country="DE") for site in ("berlin", "munich")]


class UnevenStudy(RemindedStudy):
    """A study of which Kafka answers every other question, and has a fact that was not applied."""

    questions = 0

    async def read_ends(self) -> Offsets:
        self.questions += 1
        if self.questions % 2:
            raise KafkaConnectionError
        return {TopicPartition(f"{self.study_id}.followup.v1", 0): 7}


async def load_status(database: Database, study_id: str) -> ReminderStatus:
    (status,) = [status for status in await load_statuses(database.system) if status.study_id == study_id]
    return status


async def test_obstacles_of_all_sites_are_stored_the_weightiest_first(
    analytics_database: Database, study_id: str
) -> None:
    members = [subscriber(f"nurse@{site}.study", site) for site in ("berlin", "munich")]
    study = UnevenStudy(analytics_database, study_id, members)
    await study.open(*SITES)
    await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-01")
    assert list((await load_status(analytics_database, study_id)).waits) == ["kafka", "facts"]


async def test_each_cause_waits_since_its_own_beginning(analytics_database: Database, study_id: str) -> None:
    study = RemindedStudy(analytics_database, study_id)
    await study.open(*SITES)
    await study.derive()
    async with analytics_database.system.acquire() as connection:
        await store_status(connection, study_id, ["kafka"])
        await connection.execute(
            "update reminder_status set waits = jsonb_build_object('kafka', clock_timestamp() - interval '11 minutes')"
            " where study_id = $1",
            study_id,
        )
        await store_status(connection, study_id, ["facts", "kafka"])
        both = await load_status(analytics_database, study_id)
        await store_status(connection, study_id, ["facts"])
        after_kafka = await load_status(analytics_database, study_id)
        await store_status(connection, study_id, [])
    assert {cause: seconds // 60 for cause, seconds in both.waits.items()} == {"kafka": 11, "facts": 0}
    assert (list(after_kafka.waits), after_kafka.faults) == (["facts"], ())
    assert (await load_status(analytics_database, study_id)).waits == {}


async def test_operations_page_names_every_obstacle(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        await add(study, DUE)
        async with analytics_database.system.acquire() as connection:
            await store_status(connection, study_id, ["facts", "kafka", "comparison"])
        page = (await study.get_page("operations")).text
        answer = (await study.get("operations.json")).json()["reminders"]
    sentences = ["was not compared", "until Kafka answers", "until all published facts are applied"]
    assert sorted(sentences, key=page.index) == sentences
    assert (answer["waits_for"], [wait["cause"] for wait in answer["waits"]]) == (
        "comparison",
        ["comparison", "kafka", "facts"],
    )
