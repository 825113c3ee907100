"""Digests on their way to a real mail server: each once, the same bytes at every attempt, an outcome for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.analytics.reminders import digest_repository
from services.analytics.reminders.digest import Digest, MailSettings, compose_digest
from services.analytics.reminders.email import SmtpSender
from services.analytics.reminders.sender import DigestOutcome, MailSender, empty_old_mails
from services.analytics.reminders.subscriptions.repository import (
    ConfirmationRequest,
    confirm_address,
    load_subscription,
    request_confirmation,
    save_choice,
)
from services.analytics.reminders.subscriptions.subscription import Recipient, SubscriptionChoice
from shared.mail_server import MailServer
from shared.postgres.tenancy import PooledConnection
from tests.conftest import Database
from tests.integration.support.mail_servers import PickyServer, run_picky_server

MORNING = datetime(2020, 4, 30, 6, 1, tzinfo=UTC)
TODAY = MORNING.date()
WINDOW = timedelta(hours=10)
SETTINGS = MailSettings(mail_from="quartal@hospital.example", url="https://x.example")
ADDRESS = "nurse@hospital.example"


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Outcomes:
    """The outcomes that were recorded; `fails` ends the transaction that records them."""

    recorded: list[tuple[str, date, DigestOutcome]] = field(default_factory=list)
    fails: BaseException | None = None

    async def __call__(
        self,
        connection: PooledConnection,
        study_id: str,
        member: str,
        site_id: str,
        day: date,
        outcome: DigestOutcome,
        at: datetime,
    ) -> None:
        if self.fails is not None:
            raise self.fails
        self.recorded.append((member, day, outcome))


@dataclass
class Post:
    """A sender, the mail server that it talks to, and a clock that a test moves."""

    database: Database
    study_id: str
    server: PickyServer
    now: datetime = MORNING
    outcomes: Outcomes = field(default_factory=Outcomes)
    recipients: list[Recipient] = field(default_factory=list)
    unreadable_studies: set[str] = field(default_factory=set)

    def sender(self, server: MailServer | None = None) -> MailSender:
        send = SmtpSender(server or self.server.at(), seconds=5)
        return MailSender(
            self.database.system, SETTINGS.mail_from, send, self.outcomes, self.load_recipients, lambda: self.now
        )

    async def load_recipients(self, connection: PooledConnection, study_id: str, now: datetime) -> list[Recipient]:
        if study_id in self.unreadable_studies:
            raise ValueError("a fact of the study cannot be read")
        return self.recipients

    async def claim(self, member: str = "nurse", day: date = TODAY, address: str = ADDRESS) -> bool:
        digest = Digest(study_id=self.study_id, member=member, site_id="rome", day=day, sites=())
        composed = compose_digest(digest, address, SETTINGS, self.now)
        self.recipients.append(_recipient(member, "rome", address))
        async with self.database.system.acquire() as connection, connection.transaction():
            return await digest_repository.claim(connection, digest, composed, self.now + WINDOW)

    async def rows(self) -> list[tuple[str, str | None, int]]:
        """Returns state, code and attempts of the study's mails."""
        rows = await self.database.system.fetch(
            "select state, code, attempts from mail where study_id = $1 order by composed_at, member", self.study_id
        )
        return [(row["state"], row["code"], row["attempts"]) for row in rows]

    async def subscribe(self, member: str = "nurse", address: str = ADDRESS) -> None:
        """Makes a confirmed subscription."""
        choice = SubscriptionChoice(email=address, digest=True, calendar=False)
        request = ConfirmationRequest(
            request_id=uuid4(),
            study_id=self.study_id,
            member=member,
            address=address,
            requested_at=self.now,
            expires_at=self.now + timedelta(days=7),
        )
        async with self.database.system.acquire() as connection, connection.transaction():
            await save_choice(connection, self.study_id, member, choice, self.now)
            await request_confirmation(connection, request)
            assert await confirm_address(connection, request.request_id, self.study_id, member, self.now)

    async def is_confirmed(self, member: str = "nurse") -> bool:
        async with self.database.system.acquire() as connection:
            subscription = await load_subscription(connection, self.study_id, member)
        return subscription is not None and subscription.is_confirmed


def _recipient(member: str, site_id: str | None, address: str) -> Recipient:
    return Recipient(
        member=member, site_id=site_id, address=address, hour_of_site=None, away_until=None, ends_on=date(2099, 1, 1)
    )


@pytest.fixture
async def post(analytics_database: Database, study_id: str) -> AsyncIterator[Post]:
    await analytics_database.system.execute("update mail set state = 'failed' where state = 'waiting'")
    async with run_picky_server() as server:
        yield Post(analytics_database, study_id, server)


async def test_a_digest_is_claimed_once_for_a_member_site_and_day(post: Post) -> None:
    assert [await post.claim(), await post.claim()] == [True, False]
    assert await post.claim("other")
    assert await post.claim(day=TODAY + timedelta(days=1))


async def test_two_claims_at_once_are_one(post: Post) -> None:
    assert sorted(await asyncio.gather(*(post.claim() for _ in range(4)))) == [False, False, False, True]


async def test_a_digest_is_sent_once_and_its_outcome_recorded(post: Post) -> None:
    await post.claim()
    assert await post.sender().send_due() == 1
    assert await post.sender().send_due() == 0
    assert [address for address, _ in post.server.taken] == [ADDRESS]
    assert post.outcomes.recorded == [("nurse", TODAY, DigestOutcome("sent"))]
    assert await post.rows() == [("sent", None, 1)]


async def test_two_senders_at_once_send_each_digest_once(post: Post) -> None:
    members = [f"member-{number}" for number in range(12)]
    for member in members:
        await post.claim(member, address=f"{member}@hospital.example")
    await asyncio.gather(*(post.sender().send_due() for _ in range(3)))
    assert sorted(address for address, _ in post.server.taken) == sorted(f"{m}@hospital.example" for m in members)
    assert sorted(member for member, _, _ in post.outcomes.recorded) == sorted(members)


async def test_a_digest_is_tried_again_after_1_5_15_and_60_minutes_until_its_window_ends(post: Post) -> None:
    post.server.answers["RCPT"] = "450 busy"
    await post.claim()
    tried = []
    for minute in range(11 * 60):
        post.now = MORNING + timedelta(minutes=minute)
        tried += [minute] if await post.sender().send_due() else []
    assert tried == [0, 1, 6, 21, 81, 141, 201, 261, 321, 381, 441, 501, 561, 600]
    assert len(post.server.tried) == 13
    assert post.outcomes.recorded == [("nurse", TODAY, DigestOutcome("failed", "expired"))]
    assert [row[:2] for row in await post.rows()] == [("failed", "expired")]


async def test_every_attempt_sends_the_same_bytes(post: Post) -> None:
    await post.claim()
    post.outcomes.fails = Killed()
    with pytest.raises(Killed):
        await post.sender().send_due()
    post.now += timedelta(minutes=4, seconds=59)
    assert await post.sender().send_due() == 0
    post.now += timedelta(seconds=1)
    post.outcomes.fails = None
    assert await post.sender().send_due() == 1
    (first, second) = post.server.taken
    assert first == second
    assert b"Date: Thu, 30 Apr 2020 06:01:00 +0000\r\n" in first[1]
    assert [outcome for _, _, outcome in post.outcomes.recorded] == [DigestOutcome("sent")]


async def test_a_digest_is_not_sent_again_because_its_reminders_cannot_be_written(post: Post) -> None:
    await post.claim()
    post.outcomes.fails = RuntimeError()
    assert await post.sender().send_due() == 1
    assert await post.rows() == [("sent", None, 1)]
    post.now += timedelta(minutes=5)
    assert await post.sender().send_due() == 0


async def test_a_mail_server_that_comes_back_gets_the_digest(post: Post) -> None:
    await post.claim()
    away = replace(post.server.at(), port=1)
    assert await post.sender(away).send_due() == 1
    assert await post.rows() == [("waiting", None, 1)]
    post.now += timedelta(minutes=1)
    assert await post.sender().send_due() == 1
    assert await post.rows() == [("sent", None, 2)]


@pytest.mark.parametrize(
    "recipients",
    [
        [],
        [_recipient("nurse", "turin", ADDRESS)],
        [_recipient("nurse", None, ADDRESS)],
        [_recipient("nurse", "rome", "new@hospital.example")],
        [_recipient("other", "rome", ADDRESS)],
    ],
    ids=["ended", "another site", "the whole study", "another address", "another member"],
)
async def test_a_digest_that_waits_goes_to_nobody_who_does_not_receive_it_any_more(
    post: Post, recipients: list[Recipient]
) -> None:
    await post.claim()
    assert await post.sender(replace(post.server.at(), port=1)).send_due() == 1
    post.recipients = recipients
    post.now += timedelta(minutes=1)
    assert await post.sender().send_due() == 1
    assert post.server.tried == []
    assert await post.rows() == [("failed", "no_recipient", 2)]
    assert post.outcomes.recorded == [("nurse", TODAY, DigestOutcome("failed", "no_recipient"))]


async def test_mails_of_a_study_whose_facts_cannot_be_read_wait_and_others_are_sent(post: Post) -> None:
    other = replace(post, study_id=f"{post.study_id}-2")
    other.unreadable_studies.add(post.study_id)
    for waiting in (post, other):
        assert await waiting.claim()
    assert await other.sender().send_due() == 2
    assert len(post.server.taken) == 1
    assert await other.rows() == [("sent", None, 1)]
    assert await post.rows() == [("waiting", None, 1)]
    post.unreadable_studies.clear()
    post.now += timedelta(minutes=1)
    assert await post.sender().send_due() == 1
    assert await post.rows() == [("sent", None, 2)]


async def test_one_refused_address_fails_alone(post: Post) -> None:
    post.server.answers["gone@hospital.example"] = "550 5.1.1 <gone@hospital.example> unknown"
    await post.claim("gone", address="gone@hospital.example")
    await post.claim()
    assert await post.sender().send_due() == 2
    assert sorted(post.outcomes.recorded) == [
        ("gone", TODAY, DigestOutcome("failed", "550")),
        ("nurse", TODAY, DigestOutcome("sent")),
    ]
    assert await post.rows() == [("failed", "550", 1), ("sent", None, 1)]


async def day_after_day(post: Post, command: str, *answers: str) -> list[bool]:
    """Sends a digest on each day, and has a command answered. Returns whether the address was confirmed after each."""
    confirmed = []
    for answer in answers:
        post.server.answers[command] = answer
        await post.claim(day=post.now.date())
        await post.sender().send_due()
        confirmed.append(await post.is_confirmed())
        post.now += timedelta(days=1)
    return confirmed


@pytest.mark.parametrize(("command", "refused"), [("RCPT", "550 unknown"), ("DATA", "554 no")])
async def test_three_digests_in_a_row_refused_unconfirm_the_address(post: Post, command: str, refused: str) -> None:
    await post.subscribe()
    answers = [refused, refused, "250 OK", refused, refused, refused]
    assert await day_after_day(post, command, *answers) == [True] * 5 + [False]


async def test_refusals_of_the_address_and_of_the_message_are_in_a_row(post: Post) -> None:
    await post.subscribe()
    assert await day_after_day(post, "RCPT", "550 unknown", "550 unknown") == [True] * 2
    del post.server.answers["RCPT"]
    assert await day_after_day(post, "DATA", "554 no") == [False]


@pytest.mark.parametrize("answer", ["553 not from you", "421 closing"])
async def test_refusals_of_the_sender_do_not_unconfirm_the_address(post: Post, answer: str) -> None:
    await post.subscribe()
    assert await day_after_day(post, "MAIL", *[answer] * 4) == [True] * 4


async def test_an_ended_mail_loses_address_and_text_after_30_days_and_stays_claimed(post: Post) -> None:
    await post.claim()
    await post.sender().send_due()
    for days, is_kept in ((29, True), (31, False)):
        await empty_old_mails(post.database.system, MORNING + timedelta(days=days))
        row: Any = await post.database.system.fetchrow(
            "select address, message from mail where study_id = $1", post.study_id
        )
        assert (row["address"] is not None, row["message"] is not None) == (is_kept, is_kept)
    assert not await post.claim()


async def test_the_next_attempt_is_known(post: Post) -> None:
    assert await post.sender().next_attempt() is None
    await post.claim()
    assert await post.sender().next_attempt() == MORNING
