"""Reminders from the rows of a visit to a real mail server, and back into the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.analytics.reminders.currency import Currency
from services.analytics.reminders.digest_repository import claim
from services.analytics.reminders.email import SmtpSender
from services.analytics.reminders.health import load_statuses
from services.analytics.reminders.outcomes import record_outcome
from services.analytics.reminders.sender import MailSender
from services.analytics.reminders.subscriptions.repository import (
    ConfirmationRequest,
    confirm_address,
    recipients,
    request_confirmation,
    save_choice,
)
from services.analytics.reminders.subscriptions.subscription import SubscriptionChoice
from services.analytics.reminders.worker import MailPorts, ReminderWorker
from shared.kernel.clock import Clock
from shared.outbox.confirmation import confirm_database
from shared.testing.builders import facts
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.mail_servers import PickyServer, run_picky_server
from tests.integration.support.reminded_study import MAIL, RemindedStudy

NURSE, DOCTOR = "nurse@hospital.example", "doctor@hospital.example"


@dataclass
class Morning:
    """A study with a visit that opens on the first of April, and a mail server; `now` is when the worker ticks."""

    study: RemindedStudy
    server: PickyServer

    async def subscribe(self, member: str) -> None:
        choice = SubscriptionChoice(email=member, digest=True, calendar=False)
        request = ConfirmationRequest(
            request_id=uuid4(),
            study_id=self.study.study_id,
            member=member,
            address=member,
            requested_at=self.study.now,
            expires_at=self.study.now + timedelta(days=7),
        )
        async with self.study.database.system.acquire() as connection, connection.transaction():
            await save_choice(connection, self.study.study_id, member, choice, self.study.now)
            await request_confirmation(connection, request)
            assert await confirm_address(connection, request.request_id, request.study_id, member, self.study.now)

    async def tick(self, now: datetime) -> None:
        """Plans and composes, and sends what is composed."""
        self.study.now, database = now, self.study.database.system
        worker = ReminderWorker(
            database,
            Clock(now=lambda: now),
            Currency(database, self.study.read_ends),
            MailPorts(load_recipients=recipients, claim=claim, settings=MAIL),
        )
        await worker.tick(self.study.study_id)
        send = SmtpSender(self.server.at(), seconds=5)
        await MailSender(database, MAIL.mail_from, send, record_outcome, recipients, lambda: now).send_due()

    async def fault(self) -> str | None:
        statuses = await load_statuses(self.study.database.system)
        return next(status.fault for status in statuses if status.study_id == self.study.study_id)

    async def deliveries(self) -> list[tuple[str, str, str | None]]:
        rows = await self.study.database.system.fetch(
            "select member, state, code from reminder_delivery where study_id = $1 order by day, member",
            self.study.study_id,
        )
        return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """A database without mails of other tests: one that was sent later shows that the mail server works."""
    async with own_analytics_database(postgres) as database:
        await confirm_database(database.system)
        yield database


@pytest.fixture
async def morning(own_database: Database, study_id: str) -> AsyncIterator[Morning]:
    await own_database.system.execute(
        "update mail set state = 'failed', ended_at = composed_at where state <> 'failed'"
    )
    study = RemindedStudy(own_database, study_id)
    members = [facts.member_granted(member, "site", "berlin") for member in (NURSE, DOCTOR)]
    await study.open(facts.site_activated("berlin", zone="Europe/Berlin", country="DE"), *members)
    await study.treat("2025-01-15")
    async with run_picky_server() as server:
        yield Morning(study, server)


APRIL_1 = datetime(2025, 4, 1, 6, 1, 30, tzinfo=UTC)


async def test_a_visit_that_opens_is_mailed_to_everybody_who_subscribed_at_the_site(morning: Morning) -> None:
    for member in (NURSE, DOCTOR):
        await morning.subscribe(member)
    await morning.tick(APRIL_1)
    assert sorted(address for address, _ in morning.server.taken) == [DOCTOR, NURSE]
    assert b"Subject: Quartal " in morning.server.taken[0][1]
    assert b"1 opening" in morning.server.taken[0][1]
    assert await morning.study.sent() == ["04-01 open site"]
    await morning.tick(APRIL_1 + timedelta(hours=1))
    assert len(morning.server.taken) == 2


async def test_one_refused_address_leaves_the_others_and_the_reminder_is_sent(morning: Morning) -> None:
    for member in (NURSE, DOCTOR):
        await morning.subscribe(member)
    morning.server.answers[DOCTOR] = "550 5.1.1 unknown"
    await morning.tick(APRIL_1)
    assert await morning.study.sent() == ["04-01 open site"]
    states = {member: state for member, state, _ in await morning.deliveries()}
    assert states == {DOCTOR: "failed", NURSE: "sent"}


async def test_a_mail_server_that_is_away_expires_the_digest_and_the_next_day_has_the_current_step(
    morning: Morning,
) -> None:
    await morning.subscribe(NURSE)
    morning.server.answers["RCPT"] = "450 busy"
    await morning.tick(APRIL_1)
    assert await morning.study.log("step, state") == [("open", "planned")]
    assert await morning.fault() is None
    await morning.tick(APRIL_1 + timedelta(minutes=2))
    assert await morning.fault() == "mail"
    await morning.tick(APRIL_1 + timedelta(hours=10))
    assert await morning.study.log("step, state, reason") == [("open", "failed", "expired")]
    del morning.server.answers["RCPT"]
    await morning.tick(APRIL_1 + timedelta(days=1))
    assert await morning.study.sent() == ["04-02 open site"]
