"""Two years of a study at eight sites, in minutes: every reminder comes once, and none is wrong."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from services.analytics.deriver.deriver import Deriver
from shared.kernel.clock import Clock
from shared.outbox.confirmation import confirm_database
from shared.outbox.publisher import KafkaPublisher
from shared.terminology.ctcae import TermNames
from tests.conftest import Database, KafkaServer, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.faust_workers import FaustWorkerHarness
from tests.two_years.comparison import (
    differences,
    expected_mails,
    expected_steps,
    logged_steps,
    received_mails,
    unequal_repeats,
)
from tests.two_years.generated_history import FIRST_DAY, LAST_DAY, draw_outages, draw_study, looks
from tests.two_years.mail_server import mail_server
from tests.two_years.plain_reminders import list_digests
from tests.two_years.reminder_worker import apply_change, stepped_worker, subscription_changes
from tests.two_years.running_study import RunningStudy
from tests.two_years.stated_events import StatedStudy

SEED, PARTICIPANTS = int(os.environ.get("QUARTAL_TEST_SEED", "1")), 40


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        await confirm_database(database.system)
        yield database


@pytest.mark.parametrize(
    ("policy", "first", "last"),
    [
        ("index", FIRST_DAY, LAST_DAY),
        ("latest", date(2025, 1, 6), date(2025, 4, 15)),
        ("per_course", date(2025, 7, 1), date(2025, 10, 10)),
    ],
)
async def test_every_reminder_comes_once_and_none_is_wrong(
    own_database: Database,
    kafka: KafkaServer,
    publisher: KafkaPublisher,
    tmp_path: Path,
    study_id: str,
    policy: str,
    first: date,
    last: date,
) -> None:
    study = draw_study(SEED, PARTICIPANTS, policy)
    begin, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
    instants = [now for now in looks(study, first, last, draw_outages(SEED)) if begin <= now < end]
    running = RunningStudy(
        study_id=study_id,
        database=own_database,
        publisher=publisher,
        deriver=Deriver(own_database.system, TermNames(), Clock()),
        events=StatedStudy(study_id, study).events(),
    )
    changes = subscription_changes(study, end)
    harness = FaustWorkerHarness(kafka, publisher, tmp_path, f"two-years-{secrets.token_hex(4)}")
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as plain,
        mail_server(tmp_path / "mail") as mail,
        harness.worker(own_database),
    ):
        expectation = plain.submit(list_digests, study, instants)
        await mail.start()
        async with stepped_worker(study_id, own_database.system, kafka.bootstrap, mail.url) as worker:
            for now in instants:
                await running.advance(now)
                while changes and changes[0].at <= now:
                    await apply_change(own_database, study_id, changes.pop(0))
                await worker.tick(now)
        received = mail.received()
        expected = expectation.result()
    assert differences(expected_mails(expected), received_mails(received)) == []
    assert differences(expected_steps(expected), await logged_steps(own_database, study_id)) == []
    assert unequal_repeats(received) == []
    assert len(received) == len(expected)
