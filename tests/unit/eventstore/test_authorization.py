"""Roles and sites that may record a fact, and the responses to other callers."""

from __future__ import annotations

import pytest

from shared.eventstore.memory_store import MemoryStore
from shared.kernel.errors import Forbidden, NotFound
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.testing.builders.facts import (
    accrual_closed,
    baseline_recorded,
    consent_signed,
    consent_withdrawn,
    correction,
    cut_taken,
    lesion_registered,
    literature_recorded,
    member_granted,
    member_revoked,
    participant_enrolled,
    participant_screened,
    participant_transferred,
    participant_voided,
    prescription_changed,
    procedure_performed,
    protocol,
    protocol_amended,
    radiotherapy_completed,
    radiotherapy_discontinued,
    radiotherapy_started,
    screening_failed,
    site_activated,
    site_closed,
    study_closed,
    study_opened,
    systemic_therapy_started,
    systemic_therapy_stopped,
)
from tests.unit.eventstore.enrollment_driver import MEMBERS, OPENING, STUDY, EnrollmentDriver

CLINICAL = (
    screening_failed(),
    consent_signed(),
    participant_enrolled(),
    baseline_recorded(),
    consent_withdrawn(),
    participant_voided(),
    lesion_registered(),
    procedure_performed(),
    radiotherapy_started(),
    prescription_changed(),
    radiotherapy_completed(),
    radiotherapy_discontinued(),
    systemic_therapy_started(),
    systemic_therapy_stopped(),
)


PARTICIPANT_FACT_MEMBERS: list[tuple[Fact, str]] = [
    *((fact, "sam cora carl") for fact in CLINICAL),
    (participant_screened(), "sam cora carl"),
    (participant_transferred(), "ada sam"),
    (correction(1, None), "sam cora carl ivan"),
]


STUDY_FACT_MEMBERS: list[tuple[Fact, str]] = [
    (protocol_amended(0, protocol()), "ada ivan"),
    (site_activated("oslo"), "ada"),
    (site_closed("rome"), "ada"),
    (member_granted("new", "reader"), "ada"),
    (member_revoked("sam", "site", "rome"), "ada"),
    (accrual_closed(), "ada ivan"),
    (study_closed(), "ada ivan"),
    (cut_taken(), "ada ivan"),
    (literature_recorded(), "ada ivan"),
]


@pytest.mark.parametrize(("fact", "allowed"), PARTICIPANT_FACT_MEMBERS, ids=lambda fact: getattr(fact, "type_name", ""))
async def test_participant_facts_are_recorded_by_their_roles_only(
    study: EnrollmentDriver, fact: Fact, allowed: str
) -> None:
    participant = await study.register_participant()
    statuses = {member: await study.dry_run_status(member, participant, fact) for member in MEMBERS}
    assert {member for member, status in statuses.items() if status in (200, 422)} == set(allowed.split())
    assert statuses.pop("mia") == (403 if "sam" not in allowed else 404)
    assert {status for member, status in statuses.items() if member not in allowed.split()} == {403}


@pytest.mark.parametrize(("fact", "allowed"), STUDY_FACT_MEMBERS, ids=lambda fact: getattr(fact, "type_name", ""))
async def test_study_facts_are_recorded_by_their_roles_only(study: EnrollmentDriver, fact: Fact, allowed: str) -> None:
    statuses = {member: await study.dry_run_status(member, STUDY, fact) for member in MEMBERS}
    assert {member for member, status in statuses.items() if status == 200} == set(allowed.split())
    assert {status for member, status in statuses.items() if member not in allowed.split()} == {403}


async def test_foreign_and_unknown_participants_are_indistinguishable(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    foreign, unknown = [
        await study.refusal("mia", participant_id, procedure_performed())
        for participant_id in (participant, new_participant_id())
    ]
    assert (type(foreign), foreign.title, foreign.code) == (NotFound, unknown.title, unknown.code)
    assert type(await study.refusal("carl", new_participant_id(), procedure_performed())) is NotFound


async def test_study_is_not_found_without_a_grant(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    assert [await study.dry_run_status("eve", stream, procedure_performed()) for stream in (participant, None)] == [
        404,
        404,
    ]
    assert await study.dry_run_status("eve", STUDY, study_closed()) == 404


async def test_site_screens_only_its_own_participants(study: EnrollmentDriver) -> None:
    assert await study.dry_run_status("sam", None, participant_screened(site_id="milan")) == 403
    assert await study.dry_run_status("carl", None, participant_screened(site_id="milan")) == 200
    assert await study.dry_run_status("mona", None, participant_screened()) == 403


async def test_reader_without_the_role_to_record_gets_403(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    await study.record("ada", STUDY, member_granted("mia", "monitor"))
    assert await study.dry_run_status("mia", participant, procedure_performed()) == 403


async def test_member_of_two_sites_records_at_both(study: EnrollmentDriver) -> None:
    await study.record("ada", STUDY, member_granted("mia", "site", "rome"))
    at_rome, at_milan = (
        await study.register_participant("sam"),
        await study.register_participant("mia", participant_screened(site_id="milan")),
    )
    assert [await study.dry_run_status("mia", stream, procedure_performed()) for stream in (at_rome, at_milan)] == [
        200,
        200,
    ]


async def test_grants_and_revocations_apply_at_once_in_every_process(study: EnrollmentDriver) -> None:
    participant, other = await study.register_participant(), EnrollmentDriver(study.store)
    assert await other.dry_run_status("sam", participant, procedure_performed()) == 200
    await study.record("ada", STUDY, member_revoked("sam", "site", "rome"))
    assert await other.dry_run_status("sam", participant, procedure_performed()) == 404
    await study.record("ada", STUDY, member_granted("sam", "site", "rome"))
    assert await other.dry_run_status("sam", participant, procedure_performed()) == 200


async def test_study_is_opened_only_with_entitlement() -> None:
    unopened = EnrollmentDriver(MemoryStore("enrollment"))
    for facts in (OPENING, OPENING[:1], OPENING[1:], (study_closed(),)):
        assert type(await unopened.refusal("ada", STUDY, *facts)) is NotFound
    not_opened = await unopened.refusal("ada", STUDY, member_granted("ada", "administrator"), opens_study=True)
    assert [fault.code for fault in not_opened.faults] == ["study-not-open"]
    assert (await unopened.record("ada", STUDY, *OPENING, opens_study=True)).version == 2


async def test_study_is_opened_once_and_its_id_is_taken(study: EnrollmentDriver) -> None:
    again = await study.refusal("ada", STUDY, *OPENING, opens_study=True)
    assert {fault.code for fault in again.faults} == {"stated-twice"}
    other = await study.refusal("eve", STUDY, study_opened(), member_granted("eve", "administrator"), opens_study=True)
    assert other.code == "study-exists"


async def test_administrator_of_a_site_does_not_administer_the_study(study: EnrollmentDriver) -> None:
    await study.record("ada", STUDY, member_granted("bob", "administrator", "milan"))
    assert type(await study.refusal("bob", STUDY, member_granted("bob", "administrator"))) is Forbidden
