"""Requests that are repeated with the same idempotency key, or under the id of an event."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from uuid import UUID

from shared.eventstore.store import AppendRequest, Store, UnitOfWork
from shared.kernel.errors import Forbidden, KeyReused, NotFound
from shared.kernel.ids import legacy_event_id
from shared.postgres.tenancy import Tenant
from shared.security.event_key import EventKey
from shared.testing.builders.facts import (
    consent_signed,
    lesion_registered,
    participant_screened,
    participant_transferred,
    procedure_performed,
    radiotherapy_completed,
)
from tests.unit.eventstore.enrollment_driver import EVENT_KEY, STUDY, EnrollmentDriver, interleave, version_guard


@dataclass
class _StoreWithClearKeys:
    """A store written to as before idempotency keys were hashed."""

    store: Store
    service: str = "enrollment"

    def unit(self, tenant: Tenant) -> AbstractAsyncContextManager[UnitOfWork]:
        return self.store.unit(tenant)

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        await self.store.append(tenant, replace(request, key=request.clear_key))


class _LegacyEventIds(EventKey):
    """Makes event ids as before there was a key for them."""

    def event_id(self, scope: str, index: int) -> UUID:
        return legacy_event_id(scope, index)


async def test_repeated_request_with_the_same_key_gets_the_same_result(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = await study.record("sam", participant, procedure_performed(), key="k")
    await study.record("sam", participant, lesion_registered())
    assert await study.record("sam", participant, procedure_performed(), key="k") == first
    assert (await study.event_types(participant)).count("procedure.performed") == 1


async def test_event_id_and_stored_key_cannot_be_derived_from_the_idempotency_key(study: EnrollmentDriver) -> None:
    first = await study.record("sam", None, participant_screened(), key="patient-0048213")
    (event,) = first.event_ids
    scope = f"{STUDY}/enrollment/rome/patient-0048213"
    assert event == EVENT_KEY.event_id(scope, 0)
    assert event not in (legacy_event_id(scope, 0), EventKey(bytes(32)).event_id(scope, 0))
    assert "0048213" not in repr(vars(study.store))


async def test_repeat_of_a_request_with_an_unhashed_key_is_recognized(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    legacy = EnrollmentDriver(_StoreWithClearKeys(study.store), study.store)
    first = await legacy.record("sam", participant, procedure_performed(), key="k")
    registered = await legacy.record("sam", None, participant_screened(), key="new")
    for again in (study, EnrollmentDriver(study.store)):
        assert await again.record("sam", participant, procedure_performed(), key="k") == first
        assert await again.record("sam", None, participant_screened(), key="new") == registered
        assert (await again.refusal("sam", participant, lesion_registered(), key="k")).code == "idempotency-key-reused"
    assert len(await study.participant_ids()) == 2


async def test_event_with_a_legacy_id_can_be_repeated_under_its_id(study: EnrollmentDriver) -> None:
    participant, now = await study.register_participant(), study.command_handler
    study.command_handler = replace(now, event_key=_LegacyEventIds(bytes(32)))
    first = await study.record("sam", participant, procedure_performed(), key="k")
    study.command_handler = now
    assert str(first.event_ids[0])[14] == "5"
    again = await study.record("sam", participant, procedure_performed(), key=str(first.event_ids[0]))
    assert (again, again.replayed) == (first, True)


async def test_replayed_result_is_marked_in_dry_runs_too(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = await study.record("sam", participant, procedure_performed(), key="k")
    assert not first.replayed
    for key in ("k", str(first.event_ids[0])):
        for dry_run in (True, False):
            again = await study.record("sam", participant, procedure_performed(), key=key, dry_run=dry_run)
            assert (again, again.replayed) == (first, True)
            other = await study.refusal("sam", participant, lesion_registered(), key=key, dry_run=dry_run)
            assert other.code == "idempotency-key-reused"
    assert (await study.event_types(participant)).count("procedure.performed") == 1


async def test_repeated_registration_with_one_key_is_one_participant(study: EnrollmentDriver) -> None:
    facts = participant_screened(), consent_signed()
    first = await study.record("sam", None, *facts, key="k")
    assert await study.record("sam", None, *facts, key="k") == first
    assert await study.record("carl", None, *facts, key="k") == first
    assert await study.participant_ids() == [first.stream_id]


async def test_idempotency_key_cannot_be_reused_for_another_request(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    await study.record("sam", participant, procedure_performed(), key="k")
    refusal = await study.refusal("sam", participant, lesion_registered(), key="k")
    assert (type(refusal), refusal.code) == (KeyReused, "idempotency-key-reused")
    elsewhere = await study.refusal("sam", await study.register_participant(), lesion_registered(), key="k")
    assert elsewhere.code == "idempotency-key-reused"


async def test_concurrent_equal_requests_are_recorded_once_and_both_answered(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first, other = await asyncio.gather(
        *(study.record("sam", participant, procedure_performed(), key="k") for _ in range(2))
    )
    assert first == other
    assert (await study.event_types(participant)).count("procedure.performed") == 1


async def test_racing_equal_request_gets_the_result_of_the_first(study: EnrollmentDriver) -> None:
    participant, (other, interventions) = await study.register_participant(), interleave(study)
    interventions.append(lambda: study.record("sam", participant, procedure_performed(), key="k"))
    raced = await other.record("sam", participant, procedure_performed(), key="k")
    assert raced == await study.record("sam", participant, procedure_performed(), key="k")
    interventions.append(lambda: study.record("sam", None, participant_screened(), key="new"))
    registered = await other.record("sam", None, participant_screened(), key="new")
    assert registered == await study.record("sam", None, participant_screened(), key="new")
    assert len(await study.participant_ids()) == 2


async def test_idempotency_keys_are_scoped_by_site(study: EnrollmentDriver) -> None:
    rome = await study.record("sam", None, participant_screened(), key="k", request=b"same")
    milan = await study.record("mia", None, participant_screened(site_id="milan"), key="k", request=b"same")
    assert rome.stream_id != milan.stream_id
    assert set(rome.event_ids).isdisjoint(milan.event_ids)


async def test_idempotency_key_is_looked_up_after_authorization(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    await study.record("sam", participant, procedure_performed(), key="k")
    assert [
        type(await study.refusal(member, participant, procedure_performed(), key="k")) for member in ("mona", "mia")
    ] == [
        Forbidden,
        NotFound,
    ]


async def test_idempotency_key_is_free_after_a_refusal(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    await study.refusal("sam", participant, radiotherapy_completed(), key="k")
    assert (await study.record("sam", participant, procedure_performed(), key="k")).version == 4
    await study.refusal("sam", participant, lesion_registered(), key="other", if_match=version_guard(1))
    assert (await study.record("sam", participant, lesion_registered(), key="other")).version == 5


async def test_exported_event_can_be_repeated_under_its_id(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    note = procedure_performed(detail="under local anaesthesia")
    first = await study.record("sam", participant, note)
    key = str(first.event_ids[0])
    assert await study.record("sam", participant, note, key=key) == first
    for other in (
        procedure_performed(1, detail="under local anaesthesia"),
        procedure_performed(detail="awake"),
        procedure_performed(),
        lesion_registered(),
    ):
        assert (await study.refusal("sam", participant, other, key=key)).code == "idempotency-key-reused"
    assert (await study.refusal("sam", participant, note, note, key=key)).code == "idempotency-key-reused"
    assert len(await study.event_types(participant)) == 4


async def test_event_id_of_another_participant_is_an_ordinary_key(study: EnrollmentDriver) -> None:
    first_participant, other = await study.register_participant(), await study.register_participant()
    first = await study.record("sam", first_participant, procedure_performed())
    second = await study.record("sam", other, procedure_performed(), key=str(first.event_ids[0]))
    assert (second.stream_id, second.version) == (other, 4)


async def test_idempotency_key_of_another_participant_is_refused(study: EnrollmentDriver) -> None:
    """A replay would record nothing of this participant, and answer with the result of the other."""
    participant, other = await study.register_participant(), await study.register_participant()
    await study.record("sam", participant, procedure_performed(), key="7")
    for caller in ("sam", "carl"):
        for dry_run in (True, False):
            refusal = await study.refusal(caller, other, procedure_performed(), key="7", dry_run=dry_run)
            assert refusal.code == "idempotency-key-reused", caller
    registered = await study.record("sam", None, participant_screened(), key="new")
    assert await study.record("carl", None, participant_screened(), key="new") == registered
    assert (await study.refusal("carl", other, participant_screened(), key="new")).code == "idempotency-key-reused"


async def test_idempotency_key_keeps_its_meaning_after_a_transfer(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = await study.record("carl", participant, procedure_performed(), key="K")
    transfer = await study.record("ada", participant, participant_transferred("milan", 0), key="T")
    assert await study.record("ada", participant, participant_transferred("milan", 0), key="T") == transfer
    assert await study.record("carl", participant, procedure_performed(), key="K") == first
