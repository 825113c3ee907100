"""A digest that is composed later than others of its day leaves out what is silenced, and has what is new."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from services.analytics.reminders.sender import DigestOutcome
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.reminded_study import SENT, RemindedStudy, subscriber

BERLIN = facts.site_activated("berlin", zone="Europe/Berlin", country="DE")
NURSE, DOCTOR = subscriber("nurse@berlin.study", "berlin"), subscriber("doctor@berlin.study", "berlin")
FIRST, TARGET = "2025-04-14", "2025-04-15"


@pytest.fixture
async def study(analytics_database: Database, study_id: str) -> RemindedStudy:
    study = RemindedStudy(analytics_database, study_id, [NURSE])
    await study.open(BERLIN)
    return study


def named(study: RemindedStudy) -> list[tuple[str, list[str]]]:
    """Returns the members of the digests that were composed and not sent yet, with the participants in them."""
    return [
        (digest.member, [visit.participant_id for part in digest.sites for visit in part.visits])
        for digest in study.digests
    ]


async def compose_later(study: RemindedStudy) -> None:
    """Gives the doctor a digest too, after the nurse's of the day was sent."""
    study.subscribers, study.outcome = [NURSE, DOCTOR], None
    await study.tick()


@pytest.mark.parametrize(
    "fact",
    [
        follow_up.reminder_snoozed("2025-04-20", 1),
        follow_up.reminder_acknowledged(None, 1),
        follow_up.visit_scheduled("2025-04-15", 1),
        follow_up.follow_up_recorded("2025-03-20", visit=1),
        follow_up.participant_died("2025-04-15"),
        follow_up.follow_up_recorded("2025-04-15"),
        follow_up.visit_missed("2025-04-15", 1),
    ],
    ids=["snoozed", "acknowledged", "booked", "declared", "died", "reported", "declared missed"],
)
async def test_a_visit_that_is_silenced_after_the_first_digest_is_not_in_the_second(
    study: RemindedStudy, fact: Fact
) -> None:
    silenced, waiting = await study.treat("2025-01-15"), await study.treat("2025-01-15")
    await study.live(FIRST, TARGET)
    await study.state(silenced, fact)
    await compose_later(study)
    assert named(study) == [(DOCTOR.member, [waiting.participant_id])]


async def park(study: RemindedStudy, history: ParticipantHistory) -> None:
    statement = "update inbox_stream set parked = 'gap', since = now() where study_id = $1 and subject = $2"
    await study.execute(statement, study.study_id, history.participant_id)


async def fail_derivation(study: RemindedStudy, history: ParticipantHistory) -> None:
    await study.damage(history.events[0])
    await study.state(history, follow_up.vital_status_confirmed("2025-04-15"))
    assert [participant for participant, _ in await study.failures()] == [history.participant_id]


@pytest.mark.parametrize("lose_track", [park, fail_derivation])
async def test_a_participant_whose_rows_are_not_current_any_more_is_not_in_the_second(
    study: RemindedStudy, lose_track: Callable[[RemindedStudy, ParticipantHistory], Awaitable[None]]
) -> None:
    unknown, waiting = await study.treat("2025-01-15"), await study.treat("2025-01-15")
    await study.live(FIRST, TARGET)
    await lose_track(study, unknown)
    await compose_later(study)
    assert named(study) == [(DOCTOR.member, [waiting.participant_id])]


async def test_without_a_change_both_digests_have_the_same_visits(study: RemindedStudy) -> None:
    waiting = await study.treat("2025-01-15")
    await study.live(FIRST, TARGET)
    await compose_later(study)
    assert named(study) == [(DOCTOR.member, [waiting.participant_id])]


@pytest.mark.parametrize(
    ("outcome", "reminded_again"),
    [(SENT, []), (DigestOutcome("failed", "550"), [NURSE.member, DOCTOR.member])],
    ids=["sent", "refused"],
)
async def test_what_is_planned_after_the_first_digest_goes_with_the_second_and_is_sent_once(
    study: RemindedStudy, outcome: DigestOutcome, reminded_again: list[str]
) -> None:
    early = await study.treat("2025-01-15")
    await study.live(FIRST, TARGET)
    late = await study.treat("2025-01-15")
    await compose_later(study)
    assert named(study) == [(DOCTOR.member, sorted([early.participant_id, late.participant_id]))]
    study.outcome = outcome
    await study.tick()
    study.outcome = None
    await study.live("2025-04-16", "2025-04-16")
    assert named(study) == [(member, [late.participant_id]) for member in reminded_again]


async def test_a_failed_derivation_suppresses_the_reminder_until_it_succeeds(study: RemindedStudy) -> None:
    history = await study.treat("2025-01-15")
    await study.live("2025-03-31", "2025-03-31")
    consent = history.events[1]
    await study.damage(consent)
    await study.state(history, follow_up.vital_status_confirmed("2025-04-01"))
    await study.live("2025-04-01", "2025-04-01")
    assert await study.log("step, state, reason") == [("open", "suppressed", "not_current")]
    await study.execute("update fact set data = $2 where event_id = $1", consent.event_id, consent.data)
    await study.state(history, follow_up.vital_status_confirmed("2025-04-02"))
    await study.live("2025-04-02", "2025-04-02")
    assert await study.sent() == ["04-02 open site"]
