"""A process that is killed after the mail server has taken a message, and before that is noted."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from services.analytics.reminders.email import SmtpSender
from services.analytics.reminders.outcomes import record_outcome
from services.analytics.reminders.sender import MailSender
from services.analytics.reminders.subscriptions.repository import recipients
from shared.kernel.clock import real_time
from tests.conftest import Database
from tests.demo import CHECKOUT
from tests.integration.support.mail_servers import run_picky_server
from tests.integration.support.subscriptions import address_of, link_token, open_study_with_mail, subscribe

SEND = """
import asyncio
from services.analytics.reminders.mail_task import run_mail_sender
from shared.settings import Settings
asyncio.run(run_mail_sender(Settings(), asyncio.Event()))
"""
EXIT_SECONDS = 60


def _time_after(later: timedelta) -> datetime:
    return real_time() + later


async def test_a_message_of_a_killed_process_is_sent_again_with_the_same_bytes(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    system = analytics_database.system
    await system.execute("update mail set state = 'failed' where state = 'waiting'")
    async with (
        open_study_with_mail(analytics_database, tmp_path, study_id) as study,
        run_picky_server() as server,
    ):
        assert (await subscribe(study)).status_code == 200
        settings = {
            "QUARTAL_ANALYTICS_SYSTEM_URL": analytics_database.urls["system"],
            "QUARTAL_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
            "QUARTAL_MAIL_FROM": "quartal@hospital.example",
            "QUARTAL_LINKS_KEY": str(tmp_path / "links_key"),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEND, cwd=CHECKOUT, env={**os.environ, **settings}
        )
        server.after_taking = process.kill
        await asyncio.wait_for(process.wait(), EXIT_SECONDS)
        server.after_taking = lambda: None
        attempts = "select attempts from mail where state = 'waiting' and study_id = $1"
        assert await system.fetchval(attempts, study_id) == 1
        for later, sent in ((timedelta(minutes=4), 0), (timedelta(minutes=5, seconds=1), 1)):
            send, now = SmtpSender(server.at()), partial(_time_after, later)
            sender = MailSender(system, "quartal@hospital.example", send, record_outcome, recipients, now)
            assert await sender.send_due() == sent
        first, second = server.taken
        assert first == second
        assert first[0] == address_of(study)
        assert await link_token(study)
