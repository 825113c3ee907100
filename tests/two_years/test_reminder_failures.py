"""Faults around the digests of a worked example: anchor 2025-01-15, Germany, 08:00, nothing else recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from services.analytics.projection.epoch import begin_epoch
from services.analytics.rebuild.rebuild import rebuild
from shared.inbox.consumer import Offsets
from shared.outbox.confirmation import confirm_database
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database
from tests.two_years.history import ConfirmedDigest, PlainPlan, PlanAmendment, RecordedStudy
from tests.two_years.plain_reminders import list_digests
from tests.two_years.reminded_study import RemindedExample, at, read_no_ends, reminded_example
from tests.two_years.reminder_worker import SteppedWorker, SubscriptionChange, apply_change
from tests.two_years.worked_examples import LONG_BEFORE, anchor, lines, local, mornings, study_of

STUDY = study_of(anchor("2025-01-15"))
OPEN = "2025-04-01 at-berlin V1 open"


@pytest.fixture(scope="module")
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        await confirm_database(database.system)
        yield database


@pytest.fixture
async def example(own_database: Database, study_id: str, tmp_path: Path) -> AsyncIterator[RemindedExample]:
    async with reminded_example(study_id, own_database, tmp_path, STUDY) as example:
        yield example


async def test_worked_example_is_sent_as_the_plain_implementation_lists_it(example: RemindedExample) -> None:
    looks = mornings("2025-03-31", "2025-07-02", clock="08:02")
    await example.look(*looks)
    members = {"berlin": "at-berlin", "*": "of-study"}
    listed = [line.rpartition(" ") for line in lines(list_digests(STUDY, looks))]
    assert await example.steps() == sorted(
        f"{step.partition(' ')[0]} {members[scope]} {step.partition(' ')[2]}" for step, _, scope in listed
    )


async def test_mail_server_away_for_three_days_fails_each_days_digest_and_gets_the_current_step_on_return(
    example: RemindedExample,
) -> None:
    example.mail.kill()
    for day in ("2025-04-14", "2025-04-15", "2025-04-16"):
        clocks = ("08:01", "08:03", "08:09", "08:25", "09:26", "10:27", "12:00", "15:00", "17:59", "18:01", "19:00")
        await example.look(*(local(day, clock) for clock in clocks))
    assert example.received() == []
    assert await example.steps("failed") == [
        "2025-04-14 at-berlin V1 open",
        "2025-04-15 at-berlin V1 target",
        "2025-04-16 at-berlin V1 target",
    ]
    await example.mail.start()
    await example.look(*at("2025-04-17 08:01"))
    assert example.received() == ["2025-04-17 at-berlin V1"]
    assert await example.steps() == ["2025-04-17 at-berlin V1 target"]


async def test_mail_server_that_returns_within_the_hours_gets_the_bytes_that_were_fixed(
    example: RemindedExample,
) -> None:
    example.mail.kill()
    await example.look(*at("2025-04-01 08:01", "2025-04-01 08:03", "2025-04-01 08:10"))
    await example.mail.start()
    await example.look(*at("2025-04-01 08:30"))
    [digest] = example.mail.received()
    assert digest.composed_at == local("2025-04-01", "08:01")
    assert await example.steps() == [OPEN]


async def test_refused_address_fails_alone_and_the_step_is_sent(
    own_database: Database, study_id: str, tmp_path: Path
) -> None:
    second = ConfirmedDigest(member="second-0", site_id="berlin", since=LONG_BEFORE)
    study = replace(STUDY, digests=[*STUDY.digests, second])
    async with reminded_example(study_id, own_database, tmp_path, study) as example:
        example.mail.refuse("at-berlin")
        await example.look(*mornings("2025-04-01", "2025-04-02"))
        assert example.received() == ["2025-04-01 second-0 V1"]
        assert await example.steps() == ["2025-04-01 second-0 V1 open"]
        assert await example.steps("failed") == ["2025-04-01 at-berlin V1 open"]


async def test_refused_only_address_is_tried_again_on_the_next_working_day(example: RemindedExample) -> None:
    example.mail.refuse("at-berlin")
    await example.look(*at("2025-04-01 08:01", "2025-04-01 12:00"))
    assert example.received() == []
    example.mail.refuse()
    await example.look(*at("2025-04-01 14:00", "2025-04-02 08:01"))
    assert example.received() == ["2025-04-02 at-berlin V1"]


@pytest.mark.parametrize(("back", "sent_on"), [("2025-04-01 14:00", "2025-04-01"), ("2025-04-01 19:00", "2025-04-02")])
async def test_worker_that_was_down_in_the_morning_sends_within_ten_hours_or_on_the_next_working_day(
    example: RemindedExample, back: str, sent_on: str
) -> None:
    await example.look(*at("2025-03-31 08:01", back, "2025-04-02 08:01"))
    assert await example.steps() == [f"{sent_on} at-berlin V1 open"]


async def test_clock_that_steps_back_sends_nothing_twice(example: RemindedExample) -> None:
    await example.look(*at("2025-04-01 08:01", "2025-04-01 07:01", "2025-04-01 08:01", "2025-03-31 08:01"))
    await example.look(*at("2025-04-01 08:02", "2025-04-02 08:01"))
    assert example.received() == ["2025-04-01 at-berlin V1"]


async def test_two_workers_at_once_send_nothing_twice(example: RemindedExample) -> None:
    other = SteppedWorker(example.study_id, example.database.system, "", example.mail.url, read_no_ends)
    for now in mornings("2025-04-01", "2025-04-16"):
        await example.look(now)
        await other.tick(now)
    assert await example.steps() == [OPEN, "2025-04-15 at-berlin V1 target"]
    assert len(example.received()) == 2


async def test_digest_waits_for_kafka_and_goes_within_its_hours(example: RemindedExample) -> None:
    answers = [False, True]

    async def read_ends() -> Offsets:
        if not answers.pop(0):
            raise KafkaConnectionError
        return {}

    worker = SteppedWorker(example.study_id, example.database.system, "", example.mail.url, read_ends)
    worker.now = local("2025-04-01", "08:01")
    await example.advance(worker.now)
    assert await worker.worker.tick(example.study_id) == "kafka"
    await worker.sender.send_due()
    assert example.received() == []
    await worker.tick(local("2025-04-01", "09:00"))
    assert await example.steps() == [OPEN]


async def test_new_epoch_and_rebuild_send_nothing_twice(example: RemindedExample) -> None:
    await example.look(*mornings("2025-04-01", "2025-04-03"))
    await begin_epoch(example.database.system)
    await example.derive()
    await example.look(*mornings("2025-04-04", "2025-04-08"))
    await rebuild(example.database.urls["system"])
    await example.derive()
    await example.look(*mornings("2025-04-09", "2025-04-16"))
    assert await example.steps() == [OPEN, "2025-04-15 at-berlin V1 target"]
    assert len(example.received()) == 2


async def test_amendment_sends_nothing_twice(own_database: Database, study_id: str, tmp_path: Path) -> None:
    week = PlainPlan(before=7, after=7)
    amendment = PlanAmendment(at=local("2025-04-03"), effective_on=local("2025-04-10").date(), plan=week)
    study: RecordedStudy = replace(STUDY, amendments=[amendment])
    looks = mornings("2025-03-31", "2025-07-16", clock="08:02")
    async with reminded_example(study_id, own_database, tmp_path, study) as example:
        await example.look(*looks)
        steps = await example.steps()
        assert [line for line in steps if line.endswith("V1 open")] == [OPEN]  # not again on 04-08: the target stays
        assert len(steps) == len(lines(list_digests(study, looks)))


async def test_step_waits_while_nobody_is_subscribed_and_goes_to_the_first_who_is(
    own_database: Database, study_id: str, tmp_path: Path
) -> None:
    digests = [replace(digest, until=digest.since) for digest in STUDY.digests]
    async with reminded_example(study_id, own_database, tmp_path, replace(STUDY, digests=digests)) as example:
        await example.look(*mornings("2025-04-01", "2025-04-02", clock="08:02"))
        rows = await own_database.system.fetch("select state, reason from reminder where study_id = $1", study_id)
        assert [tuple(row) for row in rows] == [("suppressed", "no_recipient")]
        change = SubscriptionChange(at=local("2025-04-03", "03:00"), member="at-berlin", is_subscribed=True)
        await apply_change(own_database, study_id, change)
        await example.look(*mornings("2025-04-03", "2025-04-04", clock="08:02"))
        assert await example.steps() == ["2025-04-03 at-berlin V1 open"]


async def test_escalation_and_overdue_wait_for_the_end_of_a_holiday(example: RemindedExample) -> None:
    looks: list[datetime] = [now + timedelta(minutes=1) for now in mornings("2025-04-30", "2025-05-02")]
    await example.look(*looks)
    assert await example.steps() == ["2025-04-30 at-berlin V1 overdue"]
