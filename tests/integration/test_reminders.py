"""The log of reminders in the database: what a worker plans, sends and suppresses day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from aiokafka import TopicPartition

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


async def test_a_digest_waits_until_what_stood_on_the_topics_is_applied_and_derived(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    topic = f"{study.study_id}.followup.v1"
    study.ends = {TopicPartition(topic, 0): 7}
    await study.live("2025-04-01", "2025-04-01")
    assert await study.tick() == "facts"
    assert await study.log() == [("open", "site", "planned", None, date(2025, 4, 1))]
    await study.database.system.execute("insert into inbox_offset values ($1, 0, 7)", topic)
    await study.project([history.record(follow_up.follow_up_recorded("2025-04-01"))])
    assert await study.tick() == "derivation"
    await study.derive()
    assert await study.tick() is None
    assert await study.log() == [("open", "site", "suppressed", "reported", date(2025, 4, 1))]


async def test_facts_after_the_moment_do_not_hold_a_digest_back(study: RemindedStudy) -> None:
    await study.treat("2025-01-15")
    topic = f"{study.study_id}.toxicity.v1"
    study.ends = {TopicPartition(topic, 0): 3}
    await study.live("2025-04-01", "2025-04-01")
    study.ends = {TopicPartition(topic, 0): 9000}
    await study.database.system.execute("insert into inbox_offset values ($1, 0, 3)", topic)
    assert await study.tick() is None
    assert await study.sent() == ["04-01 open site"]


async def test_a_participant_with_a_parked_stream_is_not_reminded_of(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    park = "update inbox_stream set parked = $3, since = now() where study_id = $1 and subject = $2"
    await study.execute(park, study.study_id, history.participant_id, "gap")
    await study.live("2025-04-01", "2025-04-01")
    assert await study.log() == [("open", "site", "suppressed", "not_current", date(2025, 4, 1))]
    await study.execute(park, study.study_id, history.participant_id, None)
    await study.live("2025-04-02", "2025-04-02")
    assert await study.sent() == ["04-02 open site"]


async def test_a_study_wide_member_has_one_digest_of_all_sites_by_the_hour_of_one(study: RemindedStudy) -> None:
    study.subscribers = [subscriber("coordinator@study", hour_of_site="rome")]
    study.outcome = None
    await study.treat("2025-01-15")
    await study.treat("2025-01-15", site="rome")
    await study.live("2025-05-20", "2025-05-20")
    (digest,) = study.digests
    assert (digest.site_id, [part.site_id for part in digest.sites]) == ("*", ["berlin", "rome"])
    assert [visit.step for part in digest.sites for visit in part.visits] == ["escalation", "escalation"]


async def test_a_digest_goes_by_the_holidays_of_its_site(study: RemindedStudy) -> None:
    study.subscribers.append(subscriber("nurse@rome", "rome"))
    await study.treat("2025-01-25", site="rome")  # opens on Friday 2025-04-11
    await study.treat("2025-01-25", site="berlin")
    await study.live("2025-04-11", "2025-04-24")
    await study.live("2025-04-25", "2025-04-25")  # the target day, and Liberation Day in Italy
    assert await study.sent() == ["04-11 open site", "04-11 open site", "04-25 target site"]
    await study.live("2025-04-28", "2025-04-28")
    assert (await study.sent())[-1] == "04-28 target site"


async def test_nobody_who_is_away_receives_a_digest(study: RemindedStudy) -> None:
    study.subscribers = [subscriber("nurse@berlin.study", "berlin", away_until=date(2025, 4, 3))]
    await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-02")
    assert (await study.log("step, state, reason")) == [("open", "suppressed", "no_recipient")]
    await study.live("2025-04-03", "2025-04-03")
    assert await study.sent() == ["04-03 open site"]


async def test_a_later_digest_of_a_day_leaves_out_who_has_died_or_was_seen_since_the_first(
    study: RemindedStudy,
) -> None:
    dead, reported, waiting = [await study.treat("2025-01-15") for _ in range(3)]
    await study.live("2025-04-01", "2025-04-01")
    await study.state(dead, follow_up.participant_died("2025-03-31"))
    await study.state(reported, follow_up.follow_up_recorded("2025-04-01"))
    study.subscribers.append(subscriber("doctor@berlin.study", site_id="berlin"))
    study.outcome = None
    await study.tick()
    (digest,) = study.digests
    assert digest.member == "doctor@berlin.study"
    assert [visit.participant_id for part in digest.sites for visit in part.visits] == [waiting.participant_id]


async def test_a_rebuild_sends_nothing_again(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    await study.live("2025-04-01", "2025-04-01")
    await study.execute("update derived_study set revision = 0 where study_id = $1", study.study_id)
    await study.state(history, facts.procedure_performed("2025-04-01"))
    await study.tick()
    await study.live("2025-04-02", "2025-04-14")
    assert await study.sent() == ["04-01 open site"]


async def test_an_excluded_participant_is_reminded_of_no_more(study: RemindedStudy) -> None:
    history = await study.treat("2024-12-01")
    await study.live("2025-02-15", "2025-02-15")
    await study.state(history, facts.participant_voided())
    await study.live("2025-02-17", "2025-02-17")
    assert await study.log("step, state, reason") == [("open", "suppressed", "excluded")]
