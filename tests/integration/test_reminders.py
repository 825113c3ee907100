"""The log of reminders in the database: what a worker plans, sends and suppresses day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.analytics.reminders.sender import DigestOutcome
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.reminded_study import RemindedStudy, subscriber

BERLIN = facts.site_activated("berlin", zone="Europe/Berlin", country="DE")
ROME = facts.site_activated("rome")
NURSE = subscriber("nurse@berlin.study", site_id="berlin")
COORDINATOR = subscriber("coordinator@study")


@pytest.fixture
async def study(analytics_database: Database, study_id: str) -> RemindedStudy:
    study = RemindedStudy(analytics_database, study_id, [NURSE, COORDINATOR])
    await study.open(BERLIN, ROME)
    return study


async def test_a_visit_without_a_word_is_reminded_of_at_every_step(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.live("2025-03-28", "2025-07-01")
    assert await study.sent() == [
        "04-01 open site",
        "04-15 target site",
        "04-30 overdue site",
        "05-14 repeat-1 site",
        "05-20 escalation study",
        "05-28 repeat-2 site",
        "06-11 repeat-3 site",
        "07-01 missed site",
        "07-01 open site",
        "07-01 missed study",
    ]


async def test_a_reported_visit_is_reminded_of_no_more_and_says_why(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-09")
    await study.state(history, follow_up.follow_up_recorded("2025-04-10"))
    await study.live("2025-04-10", "2025-04-15")
    assert await study.log() == [
        ("open", "site", "sent", None, date(2025, 4, 1)),
        ("target", "site", "suppressed", "reported", date(2025, 4, 15)),
    ]


async def test_a_death_suppresses_the_reminder_until_it_is_voided(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-10")
    death = history.record(follow_up.participant_died("2025-04-10"))
    await study.project([death])
    await study.derive()
    await study.live("2025-04-11", "2025-04-17")
    assert (await study.log())[-1] == ("target", "site", "suppressed", "died", date(2025, 4, 15))
    await study.project([history.void(death)])
    await study.derive()
    await study.live("2025-04-22", "2025-04-22")
    assert await study.sent() == ["04-01 open site", "04-22 target site"]


async def test_an_outage_leaves_no_backlog(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.live("2025-03-31", "2025-03-31")
    await study.live("2025-05-20", "2025-05-20")
    assert await study.log() == [
        ("open", "site", "suppressed", "superseded", date(2025, 5, 20)),
        ("target", "site", "suppressed", "superseded", date(2025, 5, 20)),
        ("overdue", "site", "suppressed", "superseded", date(2025, 5, 20)),
        ("repeat-1", "site", "sent", None, date(2025, 5, 20)),
        ("escalation", "study", "sent", None, date(2025, 5, 20)),
    ]


async def test_a_step_waits_for_a_working_day_as_planned(study: RemindedStudy) -> None:
    await study.treat("2024-12-01")
    await study.live("2025-02-15", "2025-02-16")
    assert await study.log() == [("open", "site", "planned", None, date(2025, 2, 15))]
    await study.live("2025-02-17", "2025-02-17")
    assert await study.sent() == ["02-17 open site"]


async def test_a_site_without_a_recipient_gets_the_current_step_once_it_has_one(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    study.subscribers = []
    await study.live("2025-04-01", "2025-04-16")
    assert (await study.log("step, state, reason"))[-1] == ("target", "suppressed", "no_recipient")
    study.subscribers = [NURSE]
    await study.live("2025-04-17", "2025-04-17")
    assert await study.sent() == ["04-17 target site"]
    assert (await study.log("step, state, reason"))[0] == ("open", "suppressed", "superseded")


async def test_a_transferred_participant_is_reminded_of_at_the_new_site(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    study.subscribers.append(subscriber("nurse@rome.study", site_id="rome"))
    await study.live("2025-04-01", "2025-04-01")
    await study.state(history, facts.participant_transferred("rome", "2025-04-01"))
    await study.live("2025-04-02", "2025-04-15")
    assert await study.log("step, addressee, state, changed_on") == [
        ("open", "berlin", "sent", date(2025, 4, 1)),
        ("open", "rome", "sent", date(2025, 4, 2)),
        ("target", "rome", "sent", date(2025, 4, 15)),
    ]


async def test_a_digest_that_fails_is_tried_again_on_the_next_working_day(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    study.outcome = DigestOutcome("failed", "550")
    await study.live("2025-04-01", "2025-04-01")
    await study.tick()
    assert await study.log("step, state, reason") == [("open", "failed", "550")]
    study.outcome = DigestOutcome("sent")
    await study.live("2025-04-02", "2025-04-02")
    assert await study.sent() == ["04-02 open site"]


async def test_a_reminder_is_sent_when_one_of_several_members_was_reached(study: RemindedStudy) -> None:
    study.subscribers.append(subscriber("doctor@berlin.study", site_id="berlin"))
    await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-01")
    deliveries = await study.database.system.fetch(
        "select member, state from reminder_delivery where study_id = $1 order by member", study.study_id
    )
    assert [tuple(row) for row in deliveries] == [("doctor@berlin.study", "sent"), ("nurse@berlin.study", "sent")]
    assert await study.sent() == ["04-01 open site"]


async def test_nothing_is_composed_outside_of_the_hours(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    for hour, minute in ((5, 59), (6, 0), (16, 0)):
        study.now = datetime(2025, 4, 1, hour, minute, 30, tzinfo=UTC)
        await study.tick()
        assert await study.sent() == []
    study.now = datetime(2025, 4, 2, 15, 59, tzinfo=UTC)
    await study.tick()
    assert await study.sent() == ["04-02 open site"]


async def test_a_restarted_worker_sends_nothing_twice(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-01")
    study.worker = study.new_worker()
    await study.tick()
    assert await study.sent() == ["04-01 open site"]


async def test_a_composed_digest_is_not_composed_again_while_nobody_knows_its_outcome(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    study.outcome = None
    await study.live("2025-04-01", "2025-04-02")
    assert [(digest.member, digest.day) for digest in study.digests] == [("nurse@berlin.study", date(2025, 4, 1))]


async def test_every_change_of_a_reminder_is_an_event_in_the_outbox(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-01")
    rows = await study.database.system.fetch(
        "select e.version, e.type, e.site_id, e.meta ->> 'recorded_on' as day from events e join outbox o"
        " using (study_id, stream_id, version) where study_id = $1 and stream_id = $2 order by o.seq",
        study.study_id,
        history.participant_id,
    )
    assert [tuple(row) for row in rows] == [
        (1, "reminder.planned", "berlin", "2025-04-01"),
        (2, "reminder.sent", "berlin", "2025-04-01"),
    ]


async def test_a_frozen_study_is_reminded_at_once_whatever_hour_it_is(
    analytics_database: Database, study_id: str
) -> None:
    study = RemindedStudy(analytics_database, study_id, [NURSE], setting=f"{study_id}=2025-01-31")
    await study.open(BERLIN)
    contacts = [follow_up.follow_up_recorded(on) for on in ("2023-09-15", "2024-02-20", "2024-05-02")]
    await study.treat("2023-05-10", *contacts)
    study.now = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)  # a Sunday
    await study.tick()
    assert await study.log("visit, step, audience, state") == [(7, "open", "site", "sent")]
