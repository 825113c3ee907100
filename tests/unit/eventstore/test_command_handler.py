"""Commands that are recorded or refused: events and their metadata, batches, versions, dry runs, dates at the site."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from services.enrollment.stream_policy import stream_policies
from shared.eventstore.command import VersionGuard
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.study_cache import OwnStudies
from shared.kernel.clock import Clock
from shared.kernel.errors import RequestRejected, VersionMismatch
from shared.kernel.ids import normalize_participant_id
from shared.testing.builders.facts import (
    CRITERIA_MET,
    consent_signed,
    consent_withdrawn,
    correction,
    lesion_registered,
    member_granted,
    participant_enrolled,
    participant_screened,
    participant_transferred,
    participant_voided,
    prescription_changed,
    procedure_performed,
    radiotherapy_completed,
    radiotherapy_started,
    site_activated,
)
from tests.unit.eventstore.enrollment_driver import (
    AT,
    CLOCK,
    EVENT_KEY,
    OPENING,
    STUDY,
    VAULT,
    EnrollmentDriver,
    version_guard,
)


async def test_new_participants_get_unique_numbers(study: EnrollmentDriver) -> None:
    participant_ids = {await study.register_participant(), await study.register_participant()}
    assert len(participant_ids) == 2
    assert {normalize_participant_id(participant_id) for participant_id in participant_ids} == participant_ids


async def test_event_has_content_site_time_and_recorder(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    recording = await study.record("carl", participant, procedure_performed())
    event = (await study.load_stream(participant)).events[-1]
    assert (recording.version, recording.event_ids, recording.recorded_at) == (4, (event.event_id,), AT)
    assert (event.version, event.type, event.site_id, event.recorded_at) == (4, "procedure.performed", "rome", AT)
    assert event.meta["recorded_by"] == "carl"
    assert event.meta["judged_by"] == {"study_version": (await study.load_stream(STUDY)).head.version}
    assert event.stated_fact().fact == procedure_performed()


async def test_correction_event_names_the_corrected_event(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = (await study.load_stream(participant)).events[1]
    await study.record("ivan", participant, correction(first.event_id, consent_signed(-1)))
    assert (await study.load_stream(participant)).events[-1].meta["corrects"] == {
        "type": "participant.consented",
        "version": 2,
    }


async def test_participant_status_is_kept_in_the_stream_head(study: EnrollmentDriver) -> None:
    steps = (consent_signed(), participant_enrolled(), consent_withdrawn(), participant_voided())
    participant = (await study.record("sam", None, participant_screened())).stream_id
    statuses = [(await study.load_stream(participant)).head.summary["status"]]
    for fact in steps:
        await study.record("sam", participant, fact)
        statuses.append((await study.load_stream(participant)).head.summary["status"])
    assert statuses == ["screening", "consented", "enrolled", "withdrawn", "voided"]


async def test_a_dry_run_records_nothing(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    before = await study.load_stream(participant)
    dry_run = await study.record("sam", participant, procedure_performed(), dry_run=True, key="k", request=b"try")
    assert dry_run.version == before.head.version + 1
    await study.record("sam", None, participant_screened(local_reference="PAT-1"), dry_run=True)
    assert await study.load_stream(participant) == before
    assert await study.participant_ids() == [participant]
    assert (await study.record("sam", participant, procedure_performed(), key="k")).version == dry_run.version
    assert type(await study.refusal("sam", participant, participant_enrolled(), dry_run=True)) is RequestRejected


async def test_if_match_accepts_the_current_version_and_refuses_others(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    assert (await study.record("sam", participant, procedure_performed(), if_match=version_guard(3))).version == 4
    for stale in ((0,), (3,), (5, 6), ()):
        refusal = await study.refusal("sam", participant, procedure_performed(), if_match=version_guard(*stale))
        assert type(refusal) is VersionMismatch
        assert "at version 4" in refusal.faults[0].message
    assert (await study.record("sam", participant, procedure_performed(), if_match=version_guard(3, 4))).version == 5


async def test_if_match_any_requires_an_existing_stream(study: EnrollmentDriver) -> None:
    participant, any_version = await study.register_participant(), VersionGuard(None)
    assert (await study.record("sam", participant, procedure_performed(), if_match=any_version)).version == 4
    assert type(await study.refusal("sam", None, participant_screened(), if_match=any_version)) is VersionMismatch


async def test_batch_is_recorded_completely_or_not_at_all(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    refusal = await study.refusal(
        "sam",
        participant,
        radiotherapy_started(),
        lesion_registered(),
        radiotherapy_completed(-1),
        procedure_performed("2026"),
    )
    assert {(fault.code, fault.pointer) for fault in refusal.faults} == {
        ("course-not-started", "/2/data/course_id"),
        ("in-the-future", "/3/data/performed_on"),
    }
    assert len(await study.event_types(participant)) == 3
    recording = await study.record(
        "sam", participant, radiotherapy_started(), lesion_registered(), radiotherapy_completed()
    )
    assert (recording.version, len(recording.event_ids)) == (6, 3)


async def test_new_participant_is_recorded_completely_or_not_at_all(study: EnrollmentDriver) -> None:
    refusal = await study.refusal(
        "sam", None, participant_screened(criteria={**CRITERIA_MET, "histology": "not_met"}), participant_enrolled()
    )
    assert {fault.code for fault in refusal.faults} == {"not-eligible", "no-consent"}
    assert await study.participant_ids() == []


async def test_objection_points_to_the_member_at_fault(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    refusal = await study.refusal("sam", participant, consent_signed("2019"))
    assert [(fault.code, fault.pointer) for fault in refusal.faults] == [("consent-version", "/form_version")]
    batch_refusal = await study.refusal("sam", participant, participant_enrolled(), lesion_registered())
    enrollment_id = (await study.load_stream(participant)).events[2].event_id
    assert {(fault.code, fault.pointer, fault.because_of) for fault in batch_refusal.faults} == {
        ("stated-twice", "/0/data", str(enrollment_id)),
    }


async def test_mutual_objection_is_returned_once(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    void = (await study.record("sam", participant, participant_voided())).event_ids[0]
    refusal = await study.refusal("sam", participant, participant_voided())
    assert sorted((fault.code, fault.because_of) for fault in refusal.faults) == [
        ("participant-voided", str(void)),
        ("stated-twice", str(void)),
    ]


async def test_objection_to_an_older_event_names_it_without_a_pointer(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    older = (await study.record("sam", participant, radiotherapy_started(), prescription_changed(20))).event_ids[1]
    (fault,) = (await study.refusal("sam", participant, radiotherapy_completed(19))).faults
    assert (fault.code, fault.pointer, fault.because_of) == ("course-ended", "", str(older))


async def test_objection_to_a_correction_points_into_the_replacement(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    consent, enrollment = [event.event_id for event in (await study.load_stream(participant)).events][1:]
    by_gate = await study.refusal("sam", participant, correction(consent, consent_signed(0, "9")))
    assert [fault.pointer for fault in by_gate.faults] == ["/replacement/data/form_version"]
    by_rules = await study.refusal(
        "sam", participant, procedure_performed(), correction(enrollment, participant_enrolled(-1))
    )
    assert [fault.pointer for fault in by_rules.faults] == ["/1/data/replacement/data/enrolled_on"]
    other_type = await study.refusal("sam", participant, correction(enrollment, consent_signed()))
    assert [(fault.code, fault.pointer) for fault in other_type.faults] == [("other-type", "/replacement/type")]
    unknown = await study.refusal("sam", participant, correction(UUID(int=1), None))
    assert [(fault.code, fault.pointer) for fault in unknown.faults] == [("no-such-event", "/event_id")]


async def test_today_is_that_of_the_participants_current_site(study: EnrollmentDriver) -> None:
    early = datetime(2025, 3, 7, 15, 30, tzinfo=UTC)
    clock = replace(CLOCK, frozen_or_shifted={}, now=lambda: early)
    study.command_handler = CommandHandler(
        study.store, OwnStudies(study.store), stream_policies(clock, VAULT), VAULT, clock, EVENT_KEY
    )
    await study.record("ada", STUDY, site_activated("tokyo", zone="Asia/Tokyo"))
    participant = await study.register_participant("sam")
    assert await study.dry_run_status("carl", participant, procedure_performed("2025-03-08")) == 422
    await study.record("sam", participant, participant_transferred("tokyo"))
    assert await study.dry_run_status("carl", participant, procedure_performed("2025-03-08")) == 200


async def test_future_dates_follow_the_time_zone_of_the_site() -> None:
    """The next day has begun in Kiribati at 10:30 UTC, and on Niue it is still the day before."""
    clock = Clock(now=lambda: datetime(2024, 3, 7, 10, 30, tzinfo=UTC))
    study = EnrollmentDriver(MemoryStore("enrollment"))
    study.command_handler = CommandHandler(
        study.store, OwnStudies(study.store), stream_policies(clock, VAULT), VAULT, clock, EVENT_KEY
    )
    await study.record("ada", STUDY, *OPENING, opens_study=True)
    sites = site_activated("rome", zone="Pacific/Kiritimati"), site_activated("milan", zone="Pacific/Niue")
    await study.record(
        "ada", STUDY, *sites, member_granted("sam", "site", "rome"), member_granted("mia", "site", "milan")
    )
    for by, site, today in (("sam", "rome", "2024-03-08"), ("mia", "milan", "2024-03-06")):
        await study.register_participant(by, participant_screened(today, site_id=site))
        tomorrow = (date.fromisoformat(today) + timedelta(days=1)).isoformat()
        for dry_run in (False, True):
            refusal = await study.refusal(by, None, participant_screened(tomorrow, site_id=site), dry_run=dry_run)
            assert [(fault.code, fault.pointer) for fault in refusal.faults] == [("in-the-future", "/screened_on")]
