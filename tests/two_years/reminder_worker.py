"""The reminder worker and the mail sender of the product, at instants that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg

from services.analytics.reminders import digest_repository
from services.analytics.reminders.currency import Currency, ReadEnds
from services.analytics.reminders.digest import MailSettings
from services.analytics.reminders.email import SmtpSender
from services.analytics.reminders.outcomes import record_outcome
from services.analytics.reminders.reminder_task import TopicEnds
from services.analytics.reminders.sender import MailSender
from services.analytics.reminders.subscriptions import repository as subscriptions
from services.analytics.reminders.subscriptions.repository import ConfirmationRequest
from services.analytics.reminders.subscriptions.subscription import SubscriptionChoice
from services.analytics.reminders.worker import MailPorts, ReminderWorker
from shared.contracts.cloudevents import topic
from shared.kernel.clock import Clock
from shared.mail_server import MailServer
from shared.settings import PRODUCERS
from tests.conftest import Database
from tests.two_years.history import ConfirmedDigest, RecordedStudy
from tests.two_years.mail_server import address_of

MAIL = MailSettings(mail_from="quartal@hospital.example", url="https://quartal.hospital.example")
RENEWED_EVERY = timedelta(days=300)


@dataclass
class SteppedWorker:
    """Plans, composes and sends at `now`, which only `tick` moves.

    `read_ends`: reads the ends of the topics; by default from the broker at `bootstrap`.
    """

    study_id: str
    pool: asyncpg.Pool[Any]
    bootstrap: str
    mail_url: str
    read_ends: ReadEnds | None = None
    now: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    ends: TopicEnds = field(init=False)
    worker: ReminderWorker = field(init=False)
    sender: MailSender = field(init=False)

    def __post_init__(self) -> None:
        pool, clock = self.pool, Clock(now=lambda: self.now)
        self.ends = TopicEnds(self.bootstrap, [topic(service) for service in PRODUCERS])
        ports = MailPorts(load_recipients=subscriptions.recipients, claim=digest_repository.claim, settings=MAIL)
        self.worker = ReminderWorker(pool, clock, Currency(pool, self.read_ends or self.ends.read), ports)
        smtp = SmtpSender(MailServer.parse(self.mail_url))
        self.sender = MailSender(pool, MAIL.mail_from, smtp, record_outcome, subscriptions.recipients, lambda: self.now)

    async def tick(self, now: datetime) -> None:
        self.now = now
        assert await self.worker.tick(self.study_id) is None
        await self.sender.send_due()


@asynccontextmanager
async def stepped_worker(
    study_id: str, pool: asyncpg.Pool[Any], bootstrap: str, mail_url: str
) -> AsyncIterator[SteppedWorker]:
    worker = SteppedWorker(study_id, pool, bootstrap, mail_url)
    try:
        yield worker
    finally:
        await worker.ends.close()


@dataclass(frozen=True, kw_only=True, order=True)
class SubscriptionChange:
    """A member's choice from an instant on: to receive digests, and from which day on; or to receive none."""

    at: datetime
    member: str
    is_subscribed: bool
    away_until: date | None = None
    hour_site: str | None = None


def subscription_changes(study: RecordedStudy, until: datetime) -> list[SubscriptionChange]:
    """Returns what the members choose, in order, with a renewal long before 12 months are over."""
    changes = []
    for digest in study.digests:
        last = digest.until or until
        at = digest.since
        while at < last:
            changes.append(
                SubscriptionChange(
                    at=at,
                    member=digest.member,
                    is_subscribed=True,
                    away_until=digest.away_until,
                    hour_site=digest.hour_site,
                )
            )
            at += RENEWED_EVERY
        if digest.until and not _goes_on(study, digest):
            changes.append(SubscriptionChange(at=digest.until, member=digest.member, is_subscribed=False))
    return sorted(changes, key=lambda change: (change.at, change.is_subscribed))


def _goes_on(study: RecordedStudy, digest: ConfirmedDigest) -> bool:
    return any((other.member, other.since) == (digest.member, digest.until) for other in study.digests)


async def apply_change(database: Database, study_id: str, change: SubscriptionChange) -> None:
    """Saves a member's choice, and confirms the address as the signed-in member does."""
    async with subscriptions.own_transaction(database.app, study_id, change.member) as connection:
        if not change.is_subscribed:
            await subscriptions.delete_subscription(connection, study_id, change.member)
            return
        address = address_of(change.member)
        choice = SubscriptionChoice(
            email=address, digest=True, calendar=False, away_until=change.away_until, site_id=change.hour_site
        )
        await subscriptions.save_choice(connection, study_id, change.member, choice, change.at)
    async with database.system.acquire() as connection, connection.transaction():
        request = ConfirmationRequest(
            request_id=uuid4(),
            study_id=study_id,
            member=change.member,
            address=address,
            requested_at=change.at,
            expires_at=change.at + timedelta(days=7),
        )
        await subscriptions.request_confirmation(connection, request)
        await subscriptions.confirm_address(connection, request.request_id, study_id, change.member, change.at)
