"""A study with a worker of reminders, whose time the test sets and whose digests are sent as they are composed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from services.analytics.reminders.currency import Currency
from services.analytics.reminders.digest import ComposedDigest, Digest, MailSettings
from services.analytics.reminders.outcomes import record_outcome
from services.analytics.reminders.sender import DigestOutcome
from services.analytics.reminders.subscriptions.subscription import Recipient
from services.analytics.reminders.worker import MailPorts, ReminderWorker
from shared.inbox.consumer import Offsets
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import PooledConnection
from shared.testing.builders import facts
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.derived_study import DerivedStudy

MAIL = MailSettings(mail_from="quartal@hospital.example", url="https://quartal.hospital.example")
SENT = DigestOutcome("sent")
ONE_DAY = timedelta(days=1)


def subscriber(
    member: str, site_id: str | None = None, *, hour_of_site: str | None = None, away_until: date | None = None
) -> Recipient:
    """Returns a member with a confirmed digest: of one site, or without a site of the whole study."""
    return Recipient(
        member=member,
        site_id=site_id,
        address=f"{member.partition('@')[0]}@hospital.example",
        hour_of_site=hour_of_site,
        away_until=away_until,
        ends_on=date(2099, 1, 1),
    )


@dataclass
class RemindedStudy(DerivedStudy):
    """A study whose reminders a worker plans by the time `now`.

    Each tick composes digests for the subscribers, and sends them with the outcome `outcome`; None: they are not sent.
    """

    database: Database
    study_id: str
    subscribers: list[Recipient] = field(default_factory=list)
    outcome: DigestOutcome | None = SENT
    now: datetime = datetime(2025, 1, 15, 6, 1, 30, tzinfo=UTC)
    ends: Offsets = field(default_factory=dict)
    digests: list[Digest] = field(default_factory=list)
    setting: str = ""

    def __post_init__(self) -> None:
        super().__init__(self.database, self.study_id)
        self.worker = self.new_worker()

    def new_worker(self) -> ReminderWorker:
        clock = Clock(Clock.parse(self.setting).frozen_or_shifted, now=lambda: self.now)
        ports = MailPorts(load_recipients=self._load_recipients, claim=self._claim, settings=MAIL)
        return ReminderWorker(self.database.system, clock, Currency(self.database.system, self.read_ends), ports)

    async def open(self, *sites: Fact) -> None:
        self.study.record(facts.study_opened(), *sites)
        await self.project(self.study.events)

    async def treat(self, anchor: str, *more: Fact, site: str = "berlin") -> ParticipantHistory:
        """Adds a participant whose index course ended on the anchor."""
        started = (date.fromisoformat(anchor) - timedelta(days=28)).isoformat()
        history = ParticipantHistory(self.study_id, site_id=site)
        history.record(
            facts.participant_screened(started, site_id=site),
            facts.consent_signed(started),
            facts.participant_enrolled(started),
            facts.radiotherapy_started(started),
            facts.radiotherapy_completed(anchor),
            *more,
        )
        await self.project(history.events)
        await self.derive()
        return history

    async def state(self, history: ParticipantHistory, *more: Fact) -> None:
        """States more facts of a participant."""
        await self.project([history.record(fact) for fact in more])
        await self.derive()

    async def tick(self) -> str | None:
        waits_for = await self.worker.tick(self.study_id)
        while self.digests and self.outcome:
            digest = self.digests.pop(0)
            async with self.database.system.acquire() as connection, connection.transaction():
                await record_outcome(
                    connection,
                    self.study_id,
                    digest.member,
                    digest.site_id,
                    digest.day,
                    self.outcome,
                    self.now,
                )
        return waits_for

    async def live(self, first: str, last: str) -> None:
        """Ticks at the digest's moment of each day from the first to the last, both inclusive."""
        for today in each_day(first, last):
            self.now = datetime(today.year, today.month, today.day, 7, 1, 30, tzinfo=UTC)
            await self.tick()

    async def log(self, columns: str = "step, audience, state, reason, changed_on") -> list[tuple[object, ...]]:
        rows = await self.database.system.fetch(
            compose_statement(
                "select {columns} from reminder where study_id = $1 order by day, audience, step, changed_on",
                columns=columns.split(", "),
            ),
            self.study_id,
        )
        return [tuple(row) for row in rows]

    async def sent(self) -> list[str]:
        """Returns the reminders that were sent, as `04-15 target site`."""
        rows = await self.database.system.fetch(
            "select changed_on, step, audience from reminder where study_id = $1 and state = 'sent'"
            " order by changed_on, audience, visit, step",
            self.study_id,
        )
        return [f"{row['changed_on']:%m-%d} {row['step']} {row['audience']}" for row in rows]

    async def _load_recipients(self, connection: PooledConnection, study_id: str, now: datetime) -> Sequence[Recipient]:
        return self.subscribers

    async def _claim(
        self, connection: PooledConnection, digest: Digest, composed: ComposedDigest, expires_at: datetime
    ) -> bool:
        self.digests.append(digest)
        return True

    async def read_ends(self) -> Offsets:
        return self.ends


def each_day(first: str, last: str) -> Iterator[date]:
    today = date.fromisoformat(first)
    while today <= date.fromisoformat(last):
        yield today
        today += ONE_DAY
