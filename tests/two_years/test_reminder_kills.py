"""Reminders while processes and servers are killed at random moments: the same as without, or again in equal bytes."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from infra.local.postgres import LocalPostgres
from infra.postgres.roles import ensure_databases
from services.analytics.deriver.deriver import Deriver
from shared.kernel.clock import Clock
from shared.outbox.publisher import KafkaPublisher
from shared.postgres.retry import retry_while_unavailable
from shared.terminology.ctcae import TermNames
from shared.testing.seeded_random import seeded_random
from tests.conftest import PASSWORDS, KafkaServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.faust_workers import FaustWorkerHarness, FaustWorkerProcess
from tests.two_years.comparison import (
    differences,
    expected_mails,
    expected_steps,
    logged_steps,
    received_mails,
    unequal_repeats,
)
from tests.two_years.generated_history import draw_study, looks
from tests.two_years.history import RecordedStudy
from tests.two_years.mail_server import MailServerProcess, mail_server
from tests.two_years.plain_reminders import list_digests
from tests.two_years.reminder_process import ChildProcess, child_process
from tests.two_years.reminder_worker import apply_change, subscription_changes
from tests.two_years.running_study import RunningStudy
from tests.two_years.stated_events import StatedStudy

SEED, PARTICIPANTS = int(os.environ.get("QUARTAL_TEST_SEED", "5")), 32
FIRST, LAST = date(2025, 3, 24), date(2025, 4, 9)
AGAIN = (timedelta(seconds=61), timedelta(seconds=361))
"""The times after a look at which the worker looks again: after a pause between attempts, and after a claim's end."""
KILL_IN_LOOKS = 5
"""One in so many looks is disturbed."""

WEIGHTS = {"child": 8, "sender": 6, "mail": 6, "projector": 1, "postgres": 1}
"""The weight of each in the draw of a victim. Those whose restart takes least time are killed most often."""

_SUPERVISION_SECONDS = 0.2


@dataclass
class Victims:
    """The processes of a study, and a draw of which is killed when."""

    rng: Random
    child: ChildProcess
    projector: FaustWorkerProcess
    mail: MailServerProcess
    postgres: LocalPostgres
    kills: Counter[str] = field(default_factory=Counter)
    restarts: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def kill_child(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.1))
        if self.child.process and self.child.process.returncode is None:
            self.child.process.kill()

    async def kill_sender(self) -> None:
        """Kills the worker between the mail server's answer and the note of it, if a mail goes at this look."""
        if self.child.process and self.child.process.returncode is None:
            self.mail.kill_after_next_mail(self.child.process.pid)

    async def kill_mail(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.05))
        await asyncio.to_thread(self.mail.kill)
        await asyncio.sleep(self.rng.uniform(0, 0.2))
        await self.mail.start()

    async def kill_projector(self) -> None:
        async with self.restarts:
            await asyncio.to_thread(self.projector.restart)

    async def supervise_projector(self) -> None:
        """Starts the projector again whenever it has ended, as its supervisor does."""
        while True:
            async with self.restarts:
                if self.projector.process.poll() is not None:
                    await asyncio.to_thread(self.projector.restart)
            await asyncio.sleep(_SUPERVISION_SECONDS)

    async def kill_postgres(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.05))
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.to_thread(self.postgres.start)

    def draw(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Draws a victim."""
        [name] = self.rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        self.kills[name] += 1
        kill: Callable[[], Coroutine[Any, Any, None]] = getattr(self, f"kill_{name}")
        return kill


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[LocalPostgres]:
    """A durable server: a killed one that is not loses commits, and a database that lost some sends no reminders."""
    with LocalPostgres(tmp_path / "postgres") as server:
        await ensure_databases(server.url(), PASSWORDS)
        yield server


def instants(study: RecordedStudy) -> list[datetime]:
    """Returns the looks of the days of the test; those before them are one look at the begin."""
    begin = datetime.combine(FIRST, datetime.min.time(), looks(study)[0].tzinfo)
    end = datetime.combine(LAST, datetime.max.time(), begin.tzinfo)
    return [now for now in looks(study, FIRST, LAST) if begin <= now <= end]


async def test_kills_change_nothing_but_repeats_of_equal_bytes(
    own_postgres: LocalPostgres, kafka: KafkaServer, publisher: KafkaPublisher, tmp_path: Path, study_id: str
) -> None:
    study, rng = draw_study(SEED, PARTICIPANTS), seeded_random(SEED)
    base = instants(study)
    harness = FaustWorkerHarness(kafka, publisher, tmp_path, f"kills-{secrets.token_hex(4)}")
    async with own_analytics_database(own_postgres) as database:
        running = RunningStudy(
            study_id=study_id,
            database=database,
            publisher=publisher,
            deriver=Deriver(database.system, TermNames(), Clock()),
            events=StatedStudy(study_id, study).events(),
        )
        with mail_server(tmp_path / "mail") as mail, harness.worker(database) as projector:
            await mail.start()
            changes = subscription_changes(study, base[-1])
            async with child_process(study_id, database.urls["system"], kafka.bootstrap, mail.url) as child:
                victims = Victims(rng, child, projector, mail, own_postgres)
                supervision = asyncio.create_task(victims.supervise_projector())
                for now in base:
                    await retry_while_unavailable(partial(running.advance, now))
                    while changes and changes[0].at <= now:
                        await retry_while_unavailable(partial(apply_change, database, study_id, changes[0]))
                        changes.pop(0)
                    await look_under_fire(victims, now)
                supervision.cancel()
            received = mail.received()
        expected = list_digests(study, sorted({now + pause for now in base for pause in (timedelta(), *AGAIN)}))
        assert differences(expected_mails(expected), received_mails(received)) == []
        assert differences(expected_steps(expected), await logged_steps(database, study_id)) == []
        assert unequal_repeats(received) == []
        assert len(received) - len(expected) <= victims.kills.total()
        assert victims.kills.total() > 0


async def look_under_fire(victims: Victims, now: datetime) -> None:
    """Looks, and looks again after a pause; something is killed during one of the first looks of some instants."""
    for number, instant in enumerate((now, *(now + pause for pause in AGAIN))):
        if number < len(AGAIN) and victims.rng.random() < 1 / KILL_IN_LOOKS:
            async with asyncio.TaskGroup() as tasks:  # a fault of either ends both
                tasks.create_task(victims.draw()())
                tasks.create_task(victims.child.look(instant))
            victims.mail.spare()
        else:
            await victims.child.look(instant)
