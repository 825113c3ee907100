"""Requests that meet other writes of the same participant or study."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from shared.eventstore.command_handler import MAX_ATTEMPTS
from shared.eventstore.memory_store import MemoryStore
from shared.kernel.errors import NotFound, RequestRejected, ServiceUnavailable, VersionMismatch
from shared.testing.builders.facts import (
    accrual_closed,
    consent_signed,
    cut_taken,
    lesion_registered,
    member_granted,
    member_revoked,
    participant_enrolled,
    participant_screened,
    procedure_performed,
    radiotherapy_started,
    site_activated,
    study_opened,
)
from tests.unit.eventstore.enrollment_driver import OPENING, STUDY, EnrollmentDriver, interleave, version_guard


async def test_concurrent_openings_of_a_study_succeed_once() -> None:
    first = EnrollmentDriver(MemoryStore("enrollment"))
    other, interventions = interleave(first)
    interventions.append(lambda: first.record("ada", STUDY, *OPENING, opens_study=True))
    refusal = await other.refusal(
        "eve", STUDY, study_opened(), member_granted("eve", "administrator"), opens_study=True
    )
    assert refusal.code == "study-exists"
    assert await first.event_types(STUDY) == ["study.opened", "study.member_granted"]


async def test_concurrent_facts_of_one_participant_are_both_recorded(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.append(lambda: study.record("carl", participant, lesion_registered()))
    assert (await other.record("sam", participant, procedure_performed())).version == 5
    assert await study.event_types(participant) == [
        "participant.screened",
        "participant.consented",
        "participant.enrolled",
        "lesion.registered",
        "procedure.performed",
    ]


async def test_second_of_two_contradictory_concurrent_facts_is_refused(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.append(lambda: study.record("carl", participant, radiotherapy_started()))
    refusal = await other.refusal("sam", participant, radiotherapy_started(3))
    assert {fault.code for fault in refusal.faults} == {"course-exists", "second-index-course"}
    assert (await study.event_types(participant)).count("radiotherapy.started") == 1


async def test_next_fact_of_a_study_is_decided_at_the_first_attempt(study: EnrollmentDriver) -> None:
    other, interventions = interleave(study)
    await other.record("ada", STUDY, member_granted("eve", "reader"))
    loads = list[int]()

    async def count_load() -> None:
        loads.append(1)

    interventions.extend([count_load] * 10)
    await other.record("ada", STUDY, member_granted("eve", "monitor"))
    assert len(loads) == 1


async def test_many_concurrent_writers_leave_no_gaps_or_duplicates(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    outcomes = await asyncio.gather(
        *(study.record("sam", participant, lesion_registered(f"L{number % 4}")) for number in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, RequestRejected) for outcome in outcomes) == 4
    events = (await study.load_stream(participant)).events
    assert all(later.version == earlier.version + 1 for earlier, later in pairwise(events))
    assert len(events) == 7


async def test_if_match_is_refused_when_another_write_was_faster(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.append(lambda: study.record("carl", participant, lesion_registered()))
    refusal = await other.refusal("sam", participant, procedure_performed(), if_match=version_guard(3))
    assert type(refusal) is VersionMismatch
    assert "at version 4" in refusal.faults[0].message
    assert "procedure.performed" not in await study.event_types(participant)


async def test_repeated_conflicts_end_in_503(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.extend([lambda: study.record("carl", participant, procedure_performed())] * MAX_ATTEMPTS)
    refusal = await other.refusal("sam", participant, lesion_registered())
    assert (type(refusal), refusal.status, refusal.retry_after) == (ServiceUnavailable, 503, 1)
    assert "lesion.registered" not in await study.event_types(participant)


async def test_enrollment_is_decided_again_when_accrual_closes_meanwhile(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(), consent_signed())
    other, interventions = interleave(study)
    interventions.append(lambda: study.record("ada", STUDY, accrual_closed(5)))
    refusal = await other.refusal("sam", participant, participant_enrolled(6))
    assert [fault.code for fault in refusal.faults] == ["accrual-closed"]
    assert "participant.enrolled" not in await study.event_types(participant)
    assert (await other.record("sam", participant, participant_enrolled(5))).version == 3


async def test_fact_retried_after_a_study_change_names_the_new_study_version(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.append(lambda: study.record("ada", STUDY, site_activated("oslo")))
    await other.record("sam", participant, procedure_performed())
    event = (await study.load_stream(participant)).events[-1]
    assert event.meta["judged_by"] == {"study_version": (await study.load_stream(STUDY)).head.version}


async def test_concurrently_revoked_grant_no_longer_applies(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.append(lambda: study.record("ada", STUDY, member_revoked("sam", "site", "rome")))
    assert type(await other.refusal("sam", participant, procedure_performed())) is NotFound
    assert len(await study.event_types(participant)) == 3


async def test_stale_process_reloads_the_study_before_refusing(study: EnrollmentDriver) -> None:
    other = EnrollmentDriver(study.store)
    assert await other.dry_run_status("carl", None, participant_screened(site_id="oslo")) == 422
    await study.record("ada", STUDY, site_activated("oslo"))
    assert await other.dry_run_status("carl", None, participant_screened(site_id="oslo")) == 200


async def test_concurrent_study_facts_are_recorded_or_refused_by_the_rules(study: EnrollmentDriver) -> None:
    other, interventions = interleave(study)
    interventions.append(lambda: study.record("ivan", STUDY, cut_taken("first")))
    await other.record("ada", STUDY, cut_taken("second"))
    interventions.append(lambda: study.record("ivan", STUDY, cut_taken("third")))
    refusal = await other.refusal("ada", STUDY, cut_taken("third"))
    assert {fault.code for fault in refusal.faults} == {"cut-exists"}
