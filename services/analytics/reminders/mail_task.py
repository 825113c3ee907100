"""The part of the deriver's process that sends mail, and ends subscriptions whose time is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from services.analytics.reminders.email import SmtpSender
from services.analytics.reminders.outcomes import record_outcome
from services.analytics.reminders.sender import MailSender, empty_old_mails
from services.analytics.reminders.subscriptions.endings import end_subscriptions
from services.analytics.reminders.subscriptions.repository import recipients
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.outbox.confirmation import is_confirmed
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool
from shared.retry import wait_for_event
from shared.settings import Settings

POLL_SECONDS = 2.0
_HOUSEKEEPING = timedelta(minutes=5)


async def run_mail_sender(settings: Settings, stop: asyncio.Event) -> None:
    """Sends mails until `stop` is set. Waits while the database is unavailable; without a mail server sends nothing.

    Nothing is sent from a database that was not compared with what was published: it may be an earlier state.
    """
    server, clock = settings.mail_server, settings.study_clock()
    database = settings.database_url("analytics", "system")
    pool = await retry_while_unavailable(lambda: open_pool(database, max_size=5))
    own_host = urlsplit(settings.public_url).hostname or "localhost"
    send = SmtpSender(server, own_host=own_host) if server else None
    store_outcome = partial(record_outcome, shards=settings.relay_shards)
    sender = MailSender(pool, settings.mail_from, send, store_outcome, recipients, clock.now) if send else None
    studies, tidy_at = ReplicatedStudies(pool), clock.now()
    try:
        while not stop.is_set():
            if clock.now() >= tidy_at:
                await retry_while_unavailable(lambda: end_subscriptions(pool, studies, clock.now()))
                await retry_while_unavailable(lambda: empty_old_mails(pool, clock.now()))
                tidy_at = clock.now() + _HOUSEKEEPING
            is_compared: bool = await retry_while_unavailable(lambda: is_confirmed(pool))
            if sender and is_compared:
                await retry_while_unavailable(sender.send_due)
            await wait_for_event(stop, POLL_SECONDS)
    finally:
        await pool.close()
