"""The command path as enrollment has it: the real judgements, a real vault, the store's twin in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from services.enrollment.stream_policy import stream_policies
from shared.contracts.event import Event
from shared.eventstore.append_builder import text_opener
from shared.eventstore.command import RecordedFacts, RecordFacts, VersionGuard
from shared.eventstore.command_handler import MAX_ATTEMPTS, CommandHandler
from shared.eventstore.feed_cursor import FeedCursor, FeedSnapshot
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.store import AppendRequest, LoadedStream, Store, StreamHead, UnitOfWork
from shared.eventstore.study_cache import OwnStudies
from shared.kernel.clock import Clock
from shared.kernel.errors import (
    Forbidden,
    NotFound,
    ReferenceInUse,
    RequestError,
    RequestRejected,
    ServiceUnavailable,
    VersionMismatch,
)
from shared.kernel.fact import Fact
from shared.kernel.ids import legacy_event_id, new_participant_id, normalize_participant_id
from shared.kernel.sealed_text import extract_texts
from shared.postgres.tenancy import Tenant
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey, Vault
from shared.testing.builders.facts import (
    CRITERIA_MET,
    ENROLLMENT_FACTS,
    accrual_closed,
    baseline_recorded,
    consent_signed,
    consent_withdrawn,
    correction,
    cut_taken,
    lesion_registered,
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

STUDY = "atc-rt"
UNKNOWN_PARTICIPANT = "0000-0000-0"
AT = datetime(2025, 3, 7, 12, 30, tzinfo=UTC)
MEMBERS = {
    "ada": ("administrator", None),
    "ivan": ("investigator", None),
    "sam": ("site", "rome"),
    "mia": ("site", "milan"),
    "cora": ("coordinator", "rome"),
    "carl": ("coordinator", None),
    "mona": ("monitor", None),
    "audrey": ("auditor", None),
    "rita": ("reader", None),
}
OPENING = study_opened(), member_granted("ada", "administrator")
VAULT = Vault(KeyEncryptionKey(bytes(range(32))))
EVENT_KEY = EventKey(bytes(range(32, 64)))
CLOCK = Clock({"": date(2025, 3, 7)}, lambda: AT)


@dataclass
class InterleavingStore:
    """The store with others coming between the recall and the append of a unit, as they may in PostgreSQL."""

    store: Store
    interventions: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    service: str = "enrollment"

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        yield _InterleavingUnit(self, tenant)

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        await self.store.append(tenant, request)


@dataclass
class _InterleavingUnit:
    parent: InterleavingStore
    tenant: Tenant

    async def load_stream(self, stream_id: str, **by: Any) -> LoadedStream:
        async with self.parent.store.unit(self.tenant) as unit:
            stream = await unit.load_stream(stream_id, **by)
        if self.parent.interventions:
            await self.parent.interventions.pop(0)()
        return stream

    async def data_key(self, stream_id: str) -> bytes | None:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.data_key(stream_id)

    async def append(self, request: AppendRequest) -> None:
        async with self.parent.store.unit(self.tenant) as unit:
            await unit.append(request)

    async def list_streams(self, **by: Any) -> list[tuple[str, StreamHead]]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_streams(**by)

    async def list_events(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_events(sites=sites, after=after, limit=limit)

    async def current_snapshot(self, previous: str) -> FeedSnapshot:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.current_snapshot(previous)

    async def list_recorded_events(
        self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int
    ) -> list[tuple[int, Event]]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_recorded_events(cursor, sites=sites, limit=limit)


@dataclass
class CallCountingStore:
    """The store, and what it was asked for."""

    store: Store
    calls: list[str] = field(default_factory=list)
    service: str = "enrollment"

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        async with self.store.unit(tenant) as unit:
            yield _CallCountingUnit(unit, self.calls)  # passes on what it does not count

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        self.calls.append("append")
        await self.store.append(tenant, request)


@dataclass
class _CallCountingUnit:
    unit: UnitOfWork
    calls: list[str]

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.unit, name)


@dataclass
class _StoreWithClearKeys:
    """The store as it was written to before idempotency keys were hashed."""

    store: Store
    service: str = "enrollment"

    def unit(self, tenant: Tenant) -> AbstractAsyncContextManager[UnitOfWork]:
        return self.store.unit(tenant)

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        await self.store.append(tenant, replace(request, key=request.clear_key))


class _LegacyEventIds(EventKey):
    """Event ids as they were made before there was a key for them."""

    def event_id(self, scope: str, index: int) -> UUID:
        return legacy_event_id(scope, index)


@dataclass
class EnrollmentDriver:
    """A study with two sites and a member of every role."""

    store: Store
    read_from: Store | None = None

    def __post_init__(self) -> None:
        studies = OwnStudies(self.read_from or self.store)
        self.command_handler = CommandHandler(
            self.store, studies, stream_policies(CLOCK, VAULT), VAULT, CLOCK, EVENT_KEY
        )

    async def record(self, by: str, stream: str | None, *facts: Fact, **options: Any) -> RecordedFacts:
        """Several facts are a batch: their pointers are those of its JSON."""
        pointers = tuple(f"/{index}/data" for index in range(len(facts))) if len(facts) > 1 else ("",)
        described_facts = [(fact.type_name, fact.model_dump_json(), dict(extract_texts(fact))) for fact in facts]
        request = options.pop("request", repr(described_facts).encode())
        return await self.command_handler.record(RecordFacts(STUDY, stream, facts, pointers, by, request, **options))

    async def refusal(self, by: str, stream: str | None, *facts: Fact, **options: Any) -> RequestError:
        with pytest.raises(RequestError) as refusal:
            await self.record(by, stream, *facts, **options)
        return refusal.value

    async def dry_run_status(self, by: str, stream: str | None, *facts: Fact) -> int:
        try:
            await self.record(by, stream, *facts, dry_run=True)
        except RequestError as refusal:
            return refusal.status
        return 200

    async def register_participant(self, by: str = "sam", *facts: Fact) -> str:
        site = MEMBERS[by][1] or "rome"
        return (
            await self.record(by, None, *(facts or (participant_screened(site_id=site), *ENROLLMENT_FACTS[1:])))
        ).stream_id

    async def load_stream(self, stream: str) -> LoadedStream:
        async with self.store.unit(Tenant(STUDY)) as unit:
            return await unit.load_stream(stream)

    async def event_types(self, stream: str) -> list[str]:
        return [event.type for event in (await self.load_stream(stream)).events]

    async def participant_ids(self) -> list[str]:
        async with self.store.unit(Tenant(STUDY)) as unit:
            rows = await unit.list_streams(site=None, status=None, search_key=None, after="", limit=99)
        return [stream for stream, _ in rows]


def interleave(study: EnrollmentDriver) -> tuple[EnrollmentDriver, list[Callable[[], Awaitable[object]]]]:
    """The same study through another process, and what happens there between its recall and its append."""
    store = InterleavingStore(study.store)
    return EnrollmentDriver(store, study.store), store.interventions


@pytest.fixture
async def study() -> EnrollmentDriver:
    driver = EnrollmentDriver(MemoryStore("enrollment"))
    await driver.record("ada", STUDY, *OPENING, opens_study=True)
    grants = [member_granted(member, role, site) for member, (role, site) in MEMBERS.items() if member != "ada"]
    await driver.record("ada", STUDY, *grants, site_activated("rome"), site_activated("milan"))
    return driver


# Who may

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
]


@pytest.mark.parametrize(("fact", "allowed"), PARTICIPANT_FACT_MEMBERS, ids=lambda each: getattr(each, "type_name", ""))
async def test_participant_facts_are_recorded_by_their_roles_only(
    study: EnrollmentDriver, fact: Fact, allowed: str
) -> None:
    participant = await study.register_participant()
    statuses = {member: await study.dry_run_status(member, participant, fact) for member in MEMBERS}
    assert {member for member, status in statuses.items() if status in (200, 422)} == set(allowed.split())
    assert statuses.pop("mia") == (403 if "sam" not in allowed else 404)
    assert {status for member, status in statuses.items() if member not in allowed.split()} == {403}


@pytest.mark.parametrize(("fact", "allowed"), STUDY_FACT_MEMBERS, ids=lambda each: getattr(each, "type_name", ""))
async def test_study_facts_are_recorded_by_their_roles_only(study: EnrollmentDriver, fact: Fact, allowed: str) -> None:
    statuses = {member: await study.dry_run_status(member, STUDY, fact) for member in MEMBERS}
    assert {member for member, status in statuses.items() if status == 200} == set(allowed.split())
    assert {status for member, status in statuses.items() if member not in allowed.split()} == {403}


async def test_foreign_and_unknown_participants_are_indistinguishable(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    foreign, unknown = [
        await study.refusal("mia", each, procedure_performed()) for each in (participant, new_participant_id())
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


async def test_concurrent_openings_of_a_study_succeed_once() -> None:
    first = EnrollmentDriver(MemoryStore("enrollment"))
    other, interventions = interleave(first)
    interventions.append(lambda: first.record("ada", STUDY, *OPENING, opens_study=True))
    refusal = await other.refusal(
        "eve", STUDY, study_opened(), member_granted("eve", "administrator"), opens_study=True
    )
    assert refusal.code == "study-exists"
    assert await first.event_types(STUDY) == ["study.opened", "study.member_granted"]


# What is kept


async def test_new_participants_get_unique_numbers(study: EnrollmentDriver) -> None:
    numbers = {await study.register_participant(), await study.register_participant()}
    assert len(numbers) == 2
    assert {normalize_participant_id(number) for number in numbers} == numbers


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


def version_guard(*versions: int) -> VersionGuard:
    return VersionGuard(frozenset(versions))


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
    targets = [
        await study.refusal("sam", participant, *facts)
        for facts in ([consent_signed("2019")], [participant_enrolled(), lesion_registered()])
    ]
    assert [[(fault.code, fault.pointer) for fault in refused.faults] for refused in targets[:1]] == [
        [("consent-version", "/form_version"), ("no-such-day", "")][:1]
    ]
    ids = [event.event_id for event in (await study.load_stream(participant)).events]
    assert {(fault.code, fault.pointer, fault.because_of) for fault in targets[1].faults} == {
        ("stated-twice", "/0/data", str(ids[2])),
    }


async def test_mutual_objection_is_returned_once(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    stated = await study.record("sam", participant, participant_voided())
    refusal = await study.refusal("sam", participant, participant_voided())
    assert sorted((fault.code, fault.because_of) for fault in refusal.faults) == [
        ("participant-voided", str(stated.event_ids[0])),
        ("stated-twice", str(stated.event_ids[0])),
    ]


async def test_objection_to_an_older_event_names_it_without_a_pointer(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    older = (await study.record("sam", participant, radiotherapy_started(), prescription_changed(20))).event_ids[1]
    (fault,) = (await study.refusal("sam", participant, radiotherapy_completed(19))).faults
    assert (fault.code, fault.pointer, fault.because_of) == ("course-ended", "", str(older))


async def test_objection_to_a_correction_points_into_the_replacement(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    consent, enrolment = [event.event_id for event in (await study.load_stream(participant)).events][1:]
    by_gate = await study.refusal("sam", participant, correction(consent, consent_signed(0, "9")))
    assert [fault.pointer for fault in by_gate.faults] == ["/replacement/data/form_version"]
    by_rules = await study.refusal(
        "sam", participant, procedure_performed(), correction(enrolment, participant_enrolled(-1))
    )
    assert [fault.pointer for fault in by_rules.faults] == ["/1/data/replacement/data/enrolled_on"]
    other_type = await study.refusal("sam", participant, correction(enrolment, consent_signed()))
    assert [(fault.code, fault.pointer) for fault in other_type.faults] == [("other-type", "/replacement/type")]
    unknown = await study.refusal("sam", participant, correction(UUID(int=1), None))
    assert [(fault.code, fault.pointer) for fault in unknown.faults] == [("no-such-event", "/event_id")]


# Sent twice


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
    assert (type(refusal), refusal.code) == (RequestRejected, "idempotency-key-reused")
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


# Sealed text


async def test_sealed_texts_are_stored_encrypted_only(study: EnrollmentDriver) -> None:
    secret = "moved to her daughter"
    participant = await study.register_participant()
    for fact in (procedure_performed(detail=secret), consent_withdrawn(reason=secret)):
        await study.record("sam", participant, fact)
    voided_one = (await study.load_stream(participant)).events[3].event_id
    await study.record(
        "sam", participant, correction(voided_one, procedure_performed(-1, detail=secret), reason=secret)
    )
    events = (await study.load_stream(participant)).events[3:]
    assert [(secret in repr(event), secret.encode() in (event.sealed or b"")) for event in events] == [(False,) * 2] * 3
    async with study.store.unit(Tenant(STUDY)) as unit:
        opened_by = text_opener(VAULT, await unit.data_key(participant))
    assert [dict(opened_by(event)) for event in events] == [
        {"/detail": secret},
        {"/reason": secret},
        {"/reason": secret, "/replacement/data/detail": secret},
    ]


async def test_hidden_text_cannot_be_guessed_by_repeating_an_event_id(study: EnrollmentDriver) -> None:
    """Not even where the key names the event, and all else that was stated of it is known."""
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-4711"))
    note = (await study.record("sam", participant, procedure_performed(detail="awake"))).event_ids[0]
    await study.record("sam", participant, participant_transferred("milan"))
    references = participant_screened(local_reference="PAT-4711"), participant_screened(local_reference="PAT-9")
    for caller, event, guesses, code in (
        ("mia", await screening_event_id(study, participant), references, "idempotency-key-reused"),
        ("carl", await screening_event_id(study, participant), references, "local-reference"),
        (
            "mia",
            note,
            (procedure_performed(detail="awake"), procedure_performed(detail="asleep")),
            "idempotency-key-reused",
        ),
        (
            "carl",
            note,
            (procedure_performed(detail="awake"), procedure_performed(detail="asleep")),
            "idempotency-key-reused",
        ),
    ):
        codes = [(await study.refusal(caller, participant, guess, key=str(event))).code for guess in guesses]
        assert codes == [code, code], (caller, guesses)
    assert len(await study.event_types(participant)) == 3


SECRET_TEXT = {"detail": "awake"}
WAIVED = {"histology": "met", "rt-indicated": "waived"}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_hidden_text_cannot_be_guessed_by_repeating_a_request(study: EnrollmentDriver, dry_run: bool) -> None:
    """Under a key of the site: whatever the body says, it is compared with nothing."""
    participant = await study.register_participant()
    await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="k")
    registered = participant_screened(waivers={"rt-indicated": "exception"}, criteria=WAIVED)
    await study.record("sam", None, registered, key="new")
    guesses: list[tuple[str | None, str, Fact]] = []
    guesses.extend((participant, "k", procedure_performed(detail=text)) for text in ("awake", "asleep"))
    waived = [participant_screened(waivers={"rt-indicated": text}, criteria=WAIVED) for text in ("exception", "other")]
    guesses.extend((None, "new", guess) for guess in waived)
    refusals = [await study.refusal("carl", of, guess, key=key, dry_run=dry_run) for of, key, guess in guesses]
    assert {(type(each), each.code, each.title, each.faults) for each in refusals} == {
        (
            RequestRejected,
            "idempotency-key-reused",
            "The idempotency key was used for another request. Use a new key.",
            (),
        )
    }


async def test_right_and_wrong_guesses_make_the_same_store_calls(study: EnrollmentDriver) -> None:
    """How long an answer takes must not tell either: the statements are counted, since wall time says little here."""
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    note = await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="k")
    void = (await study.record("sam", participant, participant_voided())).event_ids[0]
    screening_id = await screening_event_id(study, participant)
    counting = CallCountingStore(study.store)
    other = EnrollmentDriver(counting, study.store)
    probes: list[tuple[tuple[Fact, Fact], str | None, dict[str, Any]]] = [
        ((procedure_performed(detail="awake"), procedure_performed(detail="asleep")), participant, {"key": "k"}),
        (
            (procedure_performed(detail="awake"), procedure_performed(detail="asleep")),
            participant,
            {"key": str(note.event_ids[0])},
        ),
        (
            (participant_screened(local_reference="PAT-1"), participant_screened(local_reference="PAT-2")),
            None,
            {"key": "other"},
        ),
        (
            (
                correction(screening_id, participant_screened(local_reference="PAT-1")),
                correction(screening_id, participant_screened(local_reference="PAT-2")),
            ),
            participant,
            {"dry_run": True},
        ),
    ]
    for guesses, participant_or_none, options in probes:
        calls_by_guess = []
        for guess in guesses:
            counting.calls.clear()
            await other.refusal("carl", participant_or_none, guess, **options)
            calls_by_guess.append(list(counting.calls))
        assert calls_by_guess[0] == calls_by_guess[1], options
    await study.register_participant(
        "sam", participant_screened(local_reference="PAT-1")
    )  # the reference is in use now
    alone = await study.register_participant("sam", participant_screened(local_reference="PAT-9"))
    free = (await study.record("sam", alone, participant_voided())).event_ids[0]
    calls_by_guess = []
    for number, event in ((participant, void), (alone, free)):
        counting.calls.clear()
        await other.record("ivan", number, correction(event, None), dry_run=True)
        calls_by_guess.append(list(counting.calls))
    assert calls_by_guess[0] == calls_by_guess[1]


async def test_repeat_without_text_does_not_reveal_whether_there_was_one(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    with_text = await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="with")
    without = await study.record("sam", participant, procedure_performed(), key="without")
    for key, first in (("with", with_text), ("without", without)):
        assert await study.record("carl", participant, procedure_performed(), key=key) == first
        assert (
            await study.refusal("carl", participant, procedure_performed(1), key=key)
        ).code == "idempotency-key-reused"


async def test_idempotency_key_of_another_participant_is_refused(study: EnrollmentDriver) -> None:
    """Nothing would be recorded of this participant, and the answer would be of another."""
    participant, other = await study.register_participant(), await study.register_participant()
    await study.record("sam", participant, procedure_performed(), key="7")
    for caller in ("sam", "carl"):
        for dry_run in (True, False):
            refusal = await study.refusal(caller, other, procedure_performed(), key="7", dry_run=dry_run)
            assert refusal.code == "idempotency-key-reused", caller
    registered = await study.record("sam", None, participant_screened(), key="new")
    assert await study.record("carl", None, participant_screened(), key="new") == registered
    assert (await study.refusal("carl", other, participant_screened(), key="new")).code == "idempotency-key-reused"


async def test_sender_and_site_members_may_repeat_a_request_with_its_text(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="k")
    assert await study.record("cora", participant, procedure_performed(**SECRET_TEXT), key="k") == first
    assert (
        await study.refusal("cora", participant, procedure_performed(detail="asleep"), key="k")
    ).code == "idempotency-key-reused"
    own = await study.record("carl", participant, procedure_performed(**SECRET_TEXT), key="carls")
    for key in ("carls", str(own.event_ids[0])):
        assert await study.record("carl", participant, procedure_performed(**SECRET_TEXT), key=key) == own
        assert (
            await study.refusal("carl", participant, procedure_performed(detail="x"), key=key)
        ).code == "idempotency-key-reused"


async def test_texts_kept_in_a_correction_cannot_be_guessed_by_its_author(study: EnrollmentDriver) -> None:
    """The event of the correction is the corrector's own, the text in it is not."""
    participant = await study.register_participant()
    note = (await study.record("sam", participant, procedure_performed(**SECRET_TEXT))).event_ids[0]
    correction_recorded = await study.record("ivan", participant, correction(note, procedure_performed(-1)))
    for text in ("awake", "asleep"):
        guess = correction(note, procedure_performed(-1, detail=text))
        assert (await study.refusal("ivan", participant, guess, key=str(correction_recorded.event_ids[0]))).code == (
            "idempotency-key-reused"
        )


async def texts_of_last_event(study: EnrollmentDriver, participant: str) -> dict[str, str]:
    """Sealed texts of the last event by JSON pointer."""
    last = (await study.load_stream(participant)).events[-1]
    async with study.store.unit(Tenant(STUDY)) as unit:
        return dict(text_opener(VAULT, await unit.data_key(participant))(last))


async def test_correction_by_a_member_without_access_keeps_sealed_texts(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    withdrawal_id = (await study.record("sam", participant, consent_withdrawn(5, reason="moves abroad"))).event_ids[0]
    for day, own in ((6, "the form says so"), (7, "and the letter")):  # its own reason is the correction's alone
        await study.record("ivan", participant, correction(withdrawal_id, consent_withdrawn(day), reason=own))
        assert await texts_of_last_event(study, participant) == {
            "/reason": own,
            "/replacement/data/reason": "moves abroad",
        }


async def test_participant_has_one_data_key_and_only_with_sealed_texts(study: EnrollmentDriver) -> None:
    participant, keys = await study.register_participant(), []
    for fact in (lesion_registered(), procedure_performed(detail="awake"), procedure_performed(detail="asleep")):
        await study.record("sam", participant, fact)
        async with study.store.unit(Tenant(STUDY)) as unit:
            keys.append(await unit.data_key(participant))
    assert keys[0] is None
    assert keys[1] == keys[2] is not None


async def test_refusal_does_not_quote_the_local_reference(study: EnrollmentDriver) -> None:
    await study.record("sam", None, participant_screened(local_reference="PAT-0815"))
    refusal = await study.refusal("sam", None, participant_screened(local_reference="PAT-0815"))
    assert "0815" not in repr((refusal, refusal.title, refusal.faults))


# A site's own number


async def search_key_of(study: EnrollmentDriver, participant: str) -> bytes | None:
    return (await study.load_stream(participant)).head.search_key


async def screening_event_id(study: EnrollmentDriver, participant: str) -> UUID:
    return (await study.load_stream(participant)).events[0].event_id


async def test_local_reference_is_unique_within_a_site(study: EnrollmentDriver) -> None:
    first = (await study.record("sam", None, participant_screened(local_reference="PAT-1"))).stream_id
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")
    for same in ("PAT-1", " pat-1 "):
        refusal = await study.refusal("cora", None, participant_screened(local_reference=same))
        assert (type(refusal), refusal.status) == (ReferenceInUse, 409)
    await study.register_participant("mia", participant_screened(site_id="milan", local_reference="PAT-1"))
    await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    assert len(await study.participant_ids()) == 3


async def test_local_reference_is_recorded_and_probed_by_its_site_only(study: EnrollmentDriver) -> None:
    """Used and unused, right and wrong, real and dry: one answer, with a pointer."""
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    other = await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    refusals = set()
    for guess in ("PAT-1", "PAT-2", "PAT-3"):
        for caller in ("carl", "ivan"):
            for participant in (first, other):
                screening_correction = correction(
                    await screening_event_id(study, participant), participant_screened(local_reference=guess)
                )
                for dry_run in (True, False):
                    for stated in (
                        (screening_correction,),
                        (screening_correction, correction(screening_correction.event_id, None)),
                    ):
                        refusal = await study.refusal(caller, participant, *stated, dry_run=dry_run)
                        refusals.add((len(stated), type(refusal), refusal.code, refusal.title, refusal.faults))
    assert [
        (count, code, faults[0].pointer)
        for count, _, code, _, faults in sorted(refusals, key=lambda refusal: refusal[0])
    ] == [
        (1, "local-reference", "/replacement/data/local_reference"),
        (2, "local-reference", "/0/data/replacement/data/local_reference"),
    ]
    for guess in ("PAT-1", "PAT-3"):
        refusal = await study.refusal("carl", None, participant_screened(local_reference=guess))
        assert (refusal.code, refusal.faults[0].pointer) == ("local-reference", "/local_reference")
        mia = await study.refusal("mia", None, participant_screened(local_reference=guess))
        assert type(mia) is Forbidden
    await study.record(
        "ivan", first, correction(await screening_event_id(study, first), participant_screened(sex="male"))
    )
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")


async def test_reinstating_a_participant_does_not_reveal_a_reference_in_use(study: EnrollmentDriver) -> None:
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    alone = await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    voids = [(await study.record("sam", number, participant_voided())).event_ids[0] for number in (first, alone)]
    second = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    for number, void in zip((first, alone), voids, strict=True):
        for dry_run in (True, False):
            outcome = await study.record("ivan", number, correction(void, None), dry_run=dry_run)
            assert outcome.version == 3
    search_keys = [await search_key_of(study, number) for number in (first, second, alone)]
    assert search_keys == [None, *(VAULT.blind_index(STUDY, "rome", reference) for reference in ("PAT-1", "PAT-2"))]
    await study.record("carl", first, consent_signed())
    refusal = await study.refusal(
        "sam", first, correction(await screening_event_id(study, first), participant_screened(local_reference="PAT-1"))
    )
    assert type(refusal) is ReferenceInUse


async def test_returning_a_participant_does_not_reveal_a_reference_in_use(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record("sam", participant, participant_transferred("milan", 5))
    await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    for dry_run in (True, False):
        await study.record("mia", participant, participant_transferred("rome", 9), dry_run=dry_run)
    recalled = await study.load_stream(participant)
    assert (recalled.head.site_id, recalled.head.search_key) == ("rome", None)


async def test_voided_participant_releases_its_local_reference(study: EnrollmentDriver) -> None:
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    void = (await study.record("sam", first, participant_voided())).event_ids[0]
    assert await search_key_of(study, first) is None
    second = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", first, correction(void, None))) is ReferenceInUse
    await study.record("sam", second, participant_voided())
    await study.record("sam", first, correction(void, None))
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")


async def test_corrected_screening_determines_the_local_reference(study: EnrollmentDriver) -> None:
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record(
        "sam", first, correction(await screening_event_id(study, first), participant_screened(local_reference="PAT-2"))
    )
    await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", None, participant_screened(local_reference="PAT-2"))) is ReferenceInUse
    back = correction(await screening_event_id(study, first), participant_screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", first, back)) is ReferenceInUse
    await study.record("sam", first, consent_signed())
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-2")


async def test_transfer_does_not_take_the_local_reference_along(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record("sam", participant, participant_transferred("milan"))
    recalled = await study.load_stream(participant)
    assert (recalled.head.site_id, recalled.head.search_key) == ("milan", None)
    assert [event.site_id for event in recalled.events if event.sealed] == ["rome"]
    assert [
        await study.dry_run_status(member, participant, consent_signed()) for member in ("sam", "cora", "mia", "carl")
    ] == [
        404,
        404,
        200,
        200,
    ]
    await study.register_participant("sam", participant_screened(local_reference="PAT-1"))


async def test_new_site_sets_its_own_reference_by_correcting_the_screening(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record("sam", participant, participant_transferred("milan"))
    own = correction(await screening_event_id(study, participant), participant_screened(local_reference="MI-9"))
    await study.record("mia", participant, own)
    assert await search_key_of(study, participant) == VAULT.blind_index(STUDY, "milan", "MI-9")
    assert (await study.load_stream(participant)).events[-1].site_id == "milan"
    again = await study.refusal("mia", None, participant_screened(site_id="milan", local_reference="MI-9"))
    assert type(again) is ReferenceInUse
    await study.register_participant("sam", participant_screened(local_reference="MI-9"))


async def test_returning_participant_regains_the_old_local_reference(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    transfer = (await study.record("sam", participant, participant_transferred("milan", 5))).event_ids[0]
    await study.record("mia", participant, participant_transferred("rome", 9))
    assert await search_key_of(study, participant) == VAULT.blind_index(STUDY, "rome", "PAT-1")
    other = await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    mistaken = (await study.record("ada", other, participant_transferred("milan", 5))).event_ids[0]
    await study.record("mia", other, correction(mistaken, None))
    recalled = await study.load_stream(other)
    assert (recalled.head.site_id, recalled.head.search_key) == ("rome", VAULT.blind_index(STUDY, "rome", "PAT-2"))
    assert transfer != mistaken


@pytest.mark.parametrize("same", ["MU\u0308LLER-07", "m\u00fcller-07", "M\u00dcLLER\u00a0-07", " M\u00dcLLER-07 "])
async def test_local_references_are_compared_in_normalized_form(study: EnrollmentDriver, same: str) -> None:
    await study.register_participant(
        "sam", participant_screened(local_reference="M\u00dcLLER-07" if "\u00a0" not in same else "M\u00dcLLER -07")
    )
    assert type(await study.refusal("sam", None, participant_screened(local_reference=same))) is ReferenceInUse


async def test_leading_zero_makes_a_different_local_reference(study: EnrollmentDriver) -> None:
    await study.register_participant("sam", participant_screened(local_reference="00123"))
    await study.register_participant("sam", participant_screened(local_reference="123"))
    await study.register_participant("sam", participant_screened(local_reference="1E5"))
    assert len(await study.participant_ids()) == 3


# Duplicates


def duplicate_of(number: str) -> Fact:
    return participant_voided("duplicate", number)


async def fault_codes_and_pointers(study: EnrollmentDriver, by: str, stream: str, fact: Fact) -> list[tuple[str, str]]:
    return [(fault.code, fault.pointer) for fault in (await study.refusal(by, stream, fact)).faults]


async def test_participant_is_voided_as_a_duplicate(study: EnrollmentDriver) -> None:
    first, second = await study.register_participant(), await study.register_participant()
    await study.record("sam", second, duplicate_of(first))
    assert (await study.load_stream(second)).head.summary["status"] == "voided"


async def test_participant_cannot_be_a_duplicate_of_itself(study: EnrollmentDriver) -> None:
    number = await study.register_participant()
    for stated in (duplicate_of(number), duplicate_of(number.replace("-", "").lower())):
        assert await fault_codes_and_pointers(study, "sam", number, stated) == [
            ("duplicate-of-itself", "/duplicate_of")
        ]
    await study.record("sam", number, consent_signed())
    assert await fault_codes_and_pointers(study, "sam", number, duplicate_of(number)) == [
        ("duplicate-of-itself", "/duplicate_of")
    ]


async def test_participants_cannot_be_duplicates_in_a_circle(study: EnrollmentDriver) -> None:
    numbers = [await study.register_participant() for _ in range(4)]
    for number, other in pairwise(numbers):
        await study.record("sam", number, duplicate_of(other))
    for other in numbers[:3]:
        assert await fault_codes_and_pointers(study, "carl", numbers[3], duplicate_of(other)) == [
            ("duplicate-circle", "/duplicate_of")
        ]
    await study.record("sam", numbers[3], participant_voided())


async def test_correction_cannot_create_a_circle_of_duplicates(study: EnrollmentDriver) -> None:
    first, second = await study.register_participant(), await study.register_participant()
    mistaken = (await study.record("sam", first, participant_voided("duplicate"))).event_ids[0]
    await study.record("sam", second, duplicate_of(first))
    for number, code in ((second, "duplicate-circle"), (first, "duplicate-of-itself")):
        stated = correction(mistaken, duplicate_of(number))
        assert await fault_codes_and_pointers(study, "ivan", first, stated) == [
            (code, "/replacement/data/duplicate_of")
        ]
    await study.record("sam", first, correction(mistaken, None))


async def test_circle_of_duplicates_is_broken_by_a_correction(study: EnrollmentDriver) -> None:
    first, second = await study.register_participant(), await study.register_participant()
    void = (await study.record("sam", second, duplicate_of(first))).event_ids[0]
    await study.record("sam", second, correction(void, participant_voided()))
    await study.record("sam", first, duplicate_of(second))


async def test_duplicate_of_an_invisible_participant_has_one_answer(study: EnrollmentDriver) -> None:
    own, foreign = await study.register_participant(), await study.register_participant("mia")
    voided_foreign = await study.register_participant("mia")
    await study.record("mia", voided_foreign, participant_voided())
    answers = [
        await study.refusal("sam", own, duplicate_of(each))
        for each in (foreign, voided_foreign, new_participant_id(), UNKNOWN_PARTICIPANT)
    ]
    assert [[(fault.code, fault.pointer) for fault in each.faults] for each in answers] == [
        [("no-such-participant", "/duplicate_of")]
    ] * 4
    assert len({(each.status, each.title, str(each.faults)) for each in answers}) == 1
    await study.record("carl", own, duplicate_of(foreign))


async def test_correction_does_not_recheck_an_unchanged_duplicate(study: EnrollmentDriver) -> None:
    original, copy = await study.register_participant(), await study.register_participant()
    void = (await study.record("sam", copy, duplicate_of(original))).event_ids[0]
    await study.record("sam", original, participant_transferred("milan"))
    await study.record("sam", copy, correction(void, duplicate_of(original)))


# Others at the same time


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


# What the memory of streams must not blur


async def test_idempotency_key_keeps_its_meaning_after_a_transfer(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = await study.record("carl", participant, procedure_performed(), key="K")
    transfer = await study.record("ada", participant, participant_transferred("milan", 0), key="T")
    assert await study.record("ada", participant, participant_transferred("milan", 0), key="T") == transfer
    assert await study.record("carl", participant, procedure_performed(), key="K") == first


async def test_texts_of_the_old_site_are_not_kept_in_corrections_by_others(study: EnrollmentDriver) -> None:
    participant = await study.register_participant(
        "sam", participant_screened(local_reference="PAT-4711"), *ENROLLMENT_FACTS[1:]
    )
    await study.record("ada", participant, participant_transferred("milan", 0))
    screening = (await study.load_stream(participant)).events[0].event_id
    await study.record("ivan", participant, correction(screening, participant_screened(sex="male")))
    after = await study.load_stream(participant)
    assert (after.events[-1].sealed, after.head.search_key) == (None, None)


async def test_reinstated_participant_regains_the_local_reference(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    screening, before = (await study.load_stream(participant)).events[0].event_id, await study.load_stream(participant)
    await study.record("ivan", participant, correction(screening, None))
    await study.record("ivan", participant, correction(screening, participant_screened()))
    assert (await study.load_stream(participant)).head.search_key == before.head.search_key
    assert type(await study.refusal("sam", None, participant_screened(local_reference="PAT-1"))) is ReferenceInUse


async def test_administrator_of_a_site_does_not_administer_the_study(study: EnrollmentDriver) -> None:
    await study.record("ada", STUDY, member_granted("bob", "administrator", "milan"))
    assert type(await study.refusal("bob", STUDY, member_granted("bob", "administrator"))) is Forbidden


# Calendars of sites


async def test_future_dates_follow_the_time_zone_of_the_site() -> None:
    """At 10:30 UTC it is the next day in Kiribati, and still the day before on Niue."""
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
