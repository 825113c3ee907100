"""Sends the mails that wait: digests, links that confirm addresses, notices.

Every attempt of a mail sends the same bytes. A process that is killed between the server's answer and the note of it
leaves its claim; another process takes the mail again after 5 minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol

import asyncpg

from services.analytics.reminders import digest_repository as mails
from services.analytics.reminders.digest_repository import ClaimedMail
from services.analytics.reminders.email import Attempt, SendMessage
from services.analytics.reminders.recipients import LoadRecipients, is_recipient
from services.analytics.reminders.subscriptions.repository import unconfirm_address
from shared.postgres.errors import UNAVAILABLE
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import PooledConnection, Tenant, transaction

RETRIES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
"""Pauses between attempts; the last one repeats until the mail expires."""
REFUSALS_BEFORE_UNCONFIRMING = 3
EXPIRED = "expired"
NO_RECIPIENT = "no_recipient"
"""The code of a digest whose member does not receive it any more: grant, subscription or address ended meanwhile."""
_AT_ONCE = 4
_KEPT = timedelta(days=30)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DigestOutcome:
    """The end of a digest.

    `code`: the number of the mail server's refusal, `expired` or `no_recipient`; None for a sent one.
    """

    state: Literal["sent", "failed"]
    code: str | None = None


class RecordOutcome(Protocol):
    """Writes what became of the reminders in a digest, in the transaction that ends the digest."""

    async def __call__(
        self,
        connection: PooledConnection,
        study_id: str,
        member: str,
        site_id: str,
        day: date,
        outcome: DigestOutcome,
        at: datetime,
    ) -> None: ...


async def empty_old_mails(pool: asyncpg.Pool[Any], now: datetime) -> None:
    """Removes the addresses and messages of mails that ended 30 days ago."""
    async with pool.acquire() as connection:
        await mails.empty_old_mails(connection, now - _KEPT)


class MailSender:
    """Sends the mails of all studies. Several senders may work at once; none sends a mail that another one has claimed.

    `pool` connects as the system. `load_recipients` is asked before every attempt of a digest, since hours may lie
    between its composition and an attempt.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        sender_address: str,
        send: SendMessage,
        record_outcome: RecordOutcome,
        load_recipients: LoadRecipients,
        now: Callable[[], datetime],
    ) -> None:
        self._pool, self._sender_address = pool, sender_address
        self._send, self._record_outcome, self._now = send, record_outcome, now
        self._load_recipients = load_recipients

    async def send_due(self) -> int:
        """Tries every mail whose attempt has come once. Returns how many mails were tried."""
        tried = 0
        while batch := await self._take():
            tried += len(batch)
            results = await asyncio.gather(*map(self._attempt, batch), return_exceptions=True)
            for fault in filter(None, results):  # only after the others have ended: they are being sent
                raise fault
        return tried

    async def next_attempt(self) -> datetime | None:
        """Returns the time at which the next mail is to be tried; None if none waits."""
        async with self._pool.acquire() as connection:
            return await mails.next_attempt(connection)

    async def _take(self) -> list[ClaimedMail]:
        async with self._pool.acquire() as connection, connection.transaction():
            return await mails.take_mails(connection, self._now(), _AT_ONCE)

    async def _attempt(self, mail: ClaimedMail) -> None:
        if self._now() >= mail.expires_at:
            await self._end_surely(mail, DigestOutcome("failed", EXPIRED))
            return
        try:
            has_recipient = await self._has_recipient(mail)
        except UNAVAILABLE:
            raise
        except Exception:  # of any kind: such as a fact of the study that this release cannot read
            _log.exception("a mail waits: its recipients cannot be read", extra={"study_id": mail.study_id})
            await self._postpone(mail)
            return
        if not has_recipient:
            await self._end_surely(mail, DigestOutcome("failed", NO_RECIPIENT))
            return
        attempt = await self._send(self._sender_address, mail.address, mail.message)
        match attempt.result:
            case "sent":
                await self._end_surely(mail, DigestOutcome("sent"))
            case "refused":
                await self._end_surely(mail, DigestOutcome("failed", attempt.code), attempt)
            case "later":
                await self._postpone(mail)

    async def _has_recipient(self, mail: ClaimedMail) -> bool:
        """Returns whether the member of a digest still receives it at this address; True for another mail."""
        async with transaction(self._pool, Tenant(mail.study_id)) as connection:
            addressee = await mails.find_addressee(connection, mail)
            if addressee is None:
                return True
            recipients = await self._load_recipients(connection, mail.study_id, self._now())
        return any(is_recipient(recipient, mail.member, addressee, mail.address) for recipient in recipients)

    async def _postpone(self, mail: ClaimedMail) -> None:
        pause = RETRIES[min(mail.attempts, len(RETRIES)) - 1]
        async with self._pool.acquire() as connection:
            await mails.postpone(connection, mail, min(self._now() + pause, mail.expires_at))

    async def _end_surely(self, mail: ClaimedMail, outcome: DigestOutcome, attempt: Attempt | None = None) -> None:
        """Writes the outcome, after waiting for an unavailable database: a mail that was sent is not sent again.

        Without the reminders in it if they cannot be written, for else the mail would be sent every five minutes.
        """
        try:
            await retry_while_unavailable(lambda: self._end(mail, outcome, attempt))
        except Exception:  # of any kind: such as a reminder that this release cannot read
            _log.exception("the outcome of a digest cannot be written", extra={"study_id": mail.study_id})
            await retry_while_unavailable(lambda: self._end_alone(mail, outcome))

    async def _end_alone(self, mail: ClaimedMail, outcome: DigestOutcome) -> None:
        async with self._pool.acquire() as connection:
            await mails.end_mail(connection, mail, outcome.state, outcome.code, self._now())

    async def _end(self, mail: ClaimedMail, outcome: DigestOutcome, attempt: Attempt | None = None) -> None:
        """Writes the outcome of a mail, and that of the reminders in it, in one transaction."""
        now = self._now()
        async with transaction(self._pool, Tenant(mail.study_id)) as connection:
            if not await mails.end_mail(connection, mail, outcome.state, outcome.code, now):
                return
            if digest := await mails.find_digest(connection, mail.mail_id):
                await self._note_refusals(connection, mail, outcome, attempt)
                await self._record_outcome(
                    connection, digest.study_id, digest.member, digest.site_id, digest.day, outcome, now
                )

    async def _note_refusals(
        self, connection: PooledConnection, mail: ClaimedMail, outcome: DigestOutcome, attempt: Attempt | None
    ) -> None:
        """Counts consecutive digests whose address or message the server refused.

        After the third the address is unconfirmed.
        """
        if outcome.state == "sent":
            await mails.clear_refusals(connection, mail)
            return
        is_refused = attempt is not None and attempt.is_of_mail
        if is_refused and await mails.count_refusal(connection, mail) >= REFUSALS_BEFORE_UNCONFIRMING:
            await unconfirm_address(connection, mail.study_id, mail.member)
            _log.warning("three digests in a row were refused: their address is no longer confirmed")
