"""Today's digest on request: before its hour, once more with the same bytes, and the reasons for which none goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.analytics.reminders.currency import Currency
from services.analytics.reminders.digest_repository import claim
from services.analytics.reminders.email import SmtpSender
from services.analytics.reminders.outcomes import record_outcome
from services.analytics.reminders.requested_digests import BEHIND
from services.analytics.reminders.sender import MailSender
from services.analytics.reminders.subscriptions.repository import recipients
from services.analytics.reminders.worker import MailPorts, ReminderWorker
from shared.inbox.consumer import Offsets
from shared.inbox.lag import KAFKA_SILENT_SECONDS, WORKER_SILENT_SECONDS
from shared.inbox.repository import SQL
from shared.kernel.clock import Clock, real_time
from shared.kernel.fact import Fact
from shared.outbox.confirmation import confirm_database
from shared.postgres.statements import compose_statement
from shared.testing.builders.follow_up_facts import participant_died, reminder_snoozed
from tests.conftest import PostgresServer
from tests.integration.support.analytics_app import AnalyticsStudy
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.mail_servers import PickyServer, run_picky_server
from tests.integration.support.reminded_study import MAIL
from tests.integration.support.subscriptions import (
    NURSE,
    address_of,
    call,
    confirm,
    link_token,
    open_study_with_mail,
    post_page,
    subscribe,
)
from tests.integration.support.worklist import DUE, LATER, add, state_fact

BEFORE_THE_HOUR = "2025-01-31T05:00:00+00:00"
TOPIC = "measured.enrollment.v1"


@pytest.fixture
async def study(
    postgres: PostgresServer, databases: Mapping[str, str], tmp_path: Path, study_id: str
) -> AsyncIterator[AnalyticsStudy]:
    """A study in a database of its own, in which no lag was measured yet."""
    async with (
        own_analytics_database(postgres) as database,
        open_study_with_mail(database, tmp_path, study_id, clock=BEFORE_THE_HOUR) as study,
    ):
        await confirm_database(database.system)
        yield study


async def read_no_ends() -> Offsets:
    return {}


async def plan(study: AnalyticsStudy) -> None:
    """Plans the reminders of the day, before the hour of the digest."""
    database, ports = study.database.system, MailPorts(load_recipients=recipients, claim=claim, settings=MAIL)
    worker = ReminderWorker(database, Clock.parse(BEFORE_THE_HOUR), Currency(database, read_no_ends), ports)
    assert await worker.tick(study.study_id) is None


async def send_waiting(study: AnalyticsStudy, server: PickyServer) -> None:
    send = SmtpSender(server.at(), seconds=5)
    await MailSender(study.database.system, MAIL.mail_from, send, record_outcome, recipients, real_time).send_due()


async def measure(study: AnalyticsStudy, *, behind: int = 0) -> None:
    """Stores a measurement of the lag as the worker does, of a topic with so many messages that are not applied."""
    await study.database.system.execute(SQL["store_stuck_counts"])
    await study.database.system.execute(SQL["store_ends"], [TOPIC], [0], [behind])


async def request_digest(study: AnalyticsStudy, user: str = NURSE) -> httpx.Response:
    """Asks for the digest, by a request without a body, while the worker runs and nothing waits to be applied."""
    await measure(study)
    return await post_request(study, user)


async def post_request(study: AnalyticsStudy, user: str = NURSE) -> httpx.Response:
    address = f"/analytics/v1/studies/{study.study_id}/subscription/digest"
    return await study.http.post(address, headers=study.authorization(user))


async def kinds(study: AnalyticsStudy) -> list[str]:
    rows = await study.database.system.fetch(
        "select kind from mail where study_id = $1 and kind in ('digest', 'repeat') order by composed_at",
        study.study_id,
    )
    return [row["kind"] for row in rows]


async def subscribe_nurse(study: AnalyticsStudy) -> None:
    await subscribe(study)
    await confirm(study, await link_token(study))


async def test_a_member_gets_the_digest_of_the_day_before_its_hour_and_then_the_same_bytes(
    study: AnalyticsStudy,
) -> None:
    await add(study, DUE)
    await subscribe_nurse(study)
    await plan(study)
    assert await kinds(study) == []
    answer = await request_digest(study)
    assert (answer.status_code, answer.text) == (204, "")
    assert (await request_digest(study)).status_code == 204
    assert await kinds(study) == ["digest"]
    async with run_picky_server() as server:
        await send_waiting(study, server)
        for _ in range(2):
            assert (await request_digest(study)).status_code == 204
            await send_waiting(study, server)
        assert (await request_digest(study)).status_code == 429
    digests = [message for address, message in server.taken if b"Message-ID: <d." in message]
    assert len(digests) == 3
    assert len(set(digests)) == 1
    assert f"To: {address_of(study)}".encode() in digests[0]
    sent = await study.database.system.fetchval(
        "select count(*) from reminder where state = 'sent' and study_id = $1", study.study_id
    )
    assert sent == 1


async def test_no_digest_goes_where_no_visit_needs_a_reminder(study: AnalyticsStudy) -> None:
    await add(study, LATER)
    await subscribe_nurse(study)
    await plan(study)
    refused = await request_digest(study)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/no-digest")
    assert "needs a reminder" in refused.json()["title"]


async def test_no_digest_goes_to_an_address_that_is_not_confirmed_or_to_a_member_who_is_away(
    study: AnalyticsStudy,
) -> None:
    await add(study, DUE)
    await plan(study)
    assert "confirmed no address" in (await request_digest(study)).json()["title"]
    await subscribe_nurse(study)
    await subscribe(study, away_until="2025-02-03")
    assert "are away" in (await request_digest(study)).json()["title"]
    assert await kinds(study) == []


async def test_a_repeat_goes_to_nobody_who_has_unsubscribed_meanwhile(study: AnalyticsStudy) -> None:
    await add(study, DUE)
    await subscribe_nurse(study)
    await plan(study)
    async with run_picky_server() as server:
        assert (await request_digest(study)).status_code == 204
        await send_waiting(study, server)
        assert (await request_digest(study)).status_code == 204
        server.taken.clear()
        assert (await call(study, "DELETE", "subscription")).status_code == 204
        await send_waiting(study, server)
    assert server.taken == []


@pytest.mark.parametrize(
    "fact", [participant_died("2025-01-30"), reminder_snoozed("2025-02-10", 1)], ids=["died", "snoozed"]
)
async def test_a_digest_on_request_leaves_out_what_was_silenced_since_it_was_planned(
    study: AnalyticsStudy, fact: Fact
) -> None:
    history = await add(study, DUE)
    await subscribe_nurse(study)
    await plan(study)
    await state_fact(study, history, fact)
    assert (await request_digest(study)).status_code == 409
    assert await kinds(study) == []


async def test_no_digest_is_composed_from_rows_that_may_lack_what_was_published(study: AnalyticsStudy) -> None:
    await add(study, DUE)
    await subscribe_nurse(study)
    await plan(study)
    titles = [(await post_request(study)).json()["title"]]
    await measure(study, behind=1)
    titles.append((await post_request(study)).json()["title"])
    for table, seconds in (("inbox_end", KAFKA_SILENT_SECONDS), ("inbox_standstill", WORKER_SILENT_SECONDS)):
        await measure(study)
        age = timedelta(seconds=seconds + 1)
        statement = compose_statement("update {table} set at = at - $1::interval", table=table)
        await study.database.system.execute(statement, age)
        titles.append((await post_request(study)).json()["title"])
    assert titles == [BEHIND] * 4
    assert await kinds(study) == []
    assert (await request_digest(study)).status_code == 204
    assert await kinds(study) == ["digest"]


@pytest.mark.parametrize(("user", "status"), [("investigator", 403), ("administrator", 403), ("nobody", 404)])
async def test_only_subscribers_ask_for_a_digest(study: AnalyticsStudy, user: str, status: int) -> None:
    assert (await request_digest(study, user)).status_code == status


async def test_the_page_sends_the_digest_or_says_why_not(study: AnalyticsStudy) -> None:
    await subscribe_nurse(study)
    await plan(study)
    await measure(study)
    refused = await post_page(study, find="digest", email=address_of(study))
    assert refused.status_code == 409
    assert "No message is sent: no visit at your sites needs a reminder today." in refused.text
    await add(study, DUE)
    await plan(study)
    await measure(study)
    answer = await post_page(study, find="digest")
    assert (answer.status_code, await kinds(study)) == (303, ["digest"])
    assert "Today&#39;s digest is on its way." in (await study.get_page("subscription", NURSE, sent="true")).text
