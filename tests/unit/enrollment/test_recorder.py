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

from services.enrollment.judgement import judgements
from shared.contracts.event import Event
from shared.eventstore.feed_cursor import FeedCursor, Snapshot
from shared.eventstore.memory import MemoryStore
from shared.eventstore.recorder import ATTEMPTS, Recorder
from shared.eventstore.sealing import opener
from shared.eventstore.statement import Recording, Statement, VersionGuard
from shared.eventstore.store import Append, Head, Recalled, Store, Unit
from shared.eventstore.studies import StoredStudies
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.ids import legacy_event_id, new_participant_id, participant_id
from shared.kernel.refusal import (
    AlreadyRegistered,
    Busy,
    NotFound,
    NotYourRole,
    Refusal,
    Unacceptable,
    VersionMismatch,
)
from shared.kernel.sealed import texts
from shared.security.event_key import EventKey
from shared.security.tenancy import Tenant
from shared.security.vault import KeyEncryptionKey, Vault
from shared.testing.facts import (
    MET,
    ON_STUDY,
    accrual_closed,
    amended,
    baseline,
    changed,
    completed,
    consented,
    correction,
    course,
    cut_taken,
    discontinued,
    enrolled,
    granted,
    lesion,
    line,
    line_stopped,
    opened,
    procedure,
    protocol,
    revoked,
    screen_failed,
    screened,
    site_activated,
    site_closed,
    study_closed,
    transferred,
    voided,
    withdrawn,
)

STUDY = "atc-rt"
NOBODY = "0000-0000-0"
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
OPENING = opened(), granted("ada", "administrator")
VAULT = Vault(KeyEncryptionKey(bytes(range(32))))
EVENT_KEY = EventKey(bytes(range(32, 64)))
CLOCK = Clock({"": date(2025, 3, 7)}, lambda: AT)


@dataclass
class Interleaved:
    """The store with others coming between the recall and the append of a unit, as they may in PostgreSQL."""

    store: Store
    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    service: str = "enrollment"

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[Unit]:
        yield _Interleaved(self, tenant)

    async def append(self, tenant: Tenant, proposal: Append) -> None:
        await self.store.append(tenant, proposal)


@dataclass
class _Interleaved:
    among: Interleaved
    tenant: Tenant

    async def recall(self, stream_id: str, **by: Any) -> Recalled:
        async with self.among.store.unit(self.tenant) as unit:
            recalled = await unit.recall(stream_id, **by)
        if self.among.meanwhile:
            await self.among.meanwhile.pop(0)()
        return recalled

    async def data_key(self, stream_id: str) -> bytes | None:
        async with self.among.store.unit(self.tenant) as unit:
            return await unit.data_key(stream_id)

    async def append(self, proposal: Append) -> None:
        async with self.among.store.unit(self.tenant) as unit:
            await unit.append(proposal)

    async def listing(self, **by: Any) -> list[tuple[str, Head]]:
        async with self.among.store.unit(self.tenant) as unit:
            return await unit.listing(**by)

    async def feed(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        async with self.among.store.unit(self.tenant) as unit:
            return await unit.feed(sites=sites, after=after, limit=limit)

    async def snapshot(self, before: str) -> Snapshot:
        async with self.among.store.unit(self.tenant) as unit:
            return await unit.snapshot(before)

    async def recorded(self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int) -> list[tuple[int, Event]]:
        async with self.among.store.unit(self.tenant) as unit:
            return await unit.recorded(cursor, sites=sites, limit=limit)


@dataclass
class Counting:
    """The store, and what it was asked for."""

    store: Store
    asked: list[str] = field(default_factory=list)
    service: str = "enrollment"

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[Unit]:
        async with self.store.unit(tenant) as unit:
            yield _Counted(unit, self.asked)  # passes on what it does not count

    async def append(self, tenant: Tenant, proposal: Append) -> None:
        self.asked.append("append")
        await self.store.append(tenant, proposal)


@dataclass
class _Counted:
    unit: Unit
    asked: list[str]

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self.unit, name)


@dataclass
class _WithoutHashes:
    """The store as it was written to before idempotency keys were hashed."""

    store: Store
    service: str = "enrollment"

    def unit(self, tenant: Tenant) -> AbstractAsyncContextManager[Unit]:
        return self.store.unit(tenant)

    async def append(self, tenant: Tenant, proposal: Append) -> None:
        await self.store.append(tenant, replace(proposal, key=proposal.clear_key))


class _LegacyIds(EventKey):
    """Event ids as they were made before there was a key for them."""

    def event_id(self, scope: str, index: int) -> UUID:
        return legacy_event_id(scope, index)


@dataclass
class Study:
    """A study with two sites and a member of every role."""

    store: Store
    read_from: Store | None = None

    def __post_init__(self) -> None:
        studies = StoredStudies(self.read_from or self.store)
        self.recorder = Recorder(self.store, studies, judgements(CLOCK, VAULT), VAULT, CLOCK, EVENT_KEY)

    async def state(self, by: str, stream: str | None, *facts: Fact, **said: Any) -> Recording:
        """Several facts are a batch: their pointers are those of its JSON."""
        pointers = tuple(f"/{place}/data" for place in range(len(facts))) if len(facts) > 1 else ("",)
        shown = [(fact.type_name, fact.model_dump_json(), dict(texts(fact))) for fact in facts]
        request = said.pop("request", repr(shown).encode())
        return await self.recorder.record(Statement(STUDY, stream, facts, pointers, by, request, **said))

    async def refusal(self, by: str, stream: str | None, *facts: Fact, **said: Any) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.state(by, stream, *facts, **said)
        return refused.value

    async def status(self, by: str, stream: str | None, *facts: Fact) -> int:
        try:
            await self.state(by, stream, *facts, dry_run=True)
        except Refusal as refusal:
            return refusal.status
        return 200

    async def new(self, by: str = "sam", *facts: Fact) -> str:
        site = MEMBERS[by][1] or "rome"
        return (await self.state(by, None, *(facts or (screened(site_id=site), *ON_STUDY[1:])))).stream_id

    async def recalled(self, stream: str) -> Recalled:
        async with self.store.unit(Tenant(STUDY)) as unit:
            return await unit.recall(stream)

    async def types(self, stream: str) -> list[str]:
        return [event.type for event in (await self.recalled(stream)).events]

    async def participants(self) -> list[str]:
        async with self.store.unit(Tenant(STUDY)) as unit:
            found = await unit.listing(site=None, status=None, search_key=None, after="", limit=99)
        return [stream for stream, _ in found]


def interleaved(study: Study) -> tuple[Study, list[Callable[[], Awaitable[object]]]]:
    """The same study through another process, and what happens there between its recall and its append."""
    store = Interleaved(study.store)
    return Study(store, study.store), store.meanwhile


@pytest.fixture
async def study() -> Study:
    made = Study(MemoryStore("enrollment"))
    await made.state("ada", STUDY, *OPENING, opens_study=True)
    grants = [granted(member, role, site) for member, (role, site) in MEMBERS.items() if member != "ada"]
    await made.state("ada", STUDY, *grants, site_activated("rome"), site_activated("milan"))
    return made


# Who may

CLINICAL = (
    screen_failed(), consented(), enrolled(), baseline(), withdrawn(), voided(), lesion(), procedure(), course(),
    changed(), completed(), discontinued(), line(), line_stopped(),
)  # fmt: skip
MAY: list[tuple[Fact, str]] = [
    *((fact, "sam cora carl") for fact in CLINICAL),
    (screened(), "sam cora carl"),
    (transferred(), "ada sam"),
    (correction(1, None), "sam cora carl ivan"),
]
MAY_OF_STUDY: list[tuple[Fact, str]] = [
    (amended(0, protocol()), "ada ivan"),
    (site_activated("oslo"), "ada"),
    (site_closed("rome"), "ada"),
    (granted("new", "reader"), "ada"),
    (revoked("sam", "site", "rome"), "ada"),
    (accrual_closed(), "ada ivan"),
    (study_closed(), "ada ivan"),
    (cut_taken(), "ada ivan"),
]


@pytest.mark.parametrize(("fact", "allowed"), MAY, ids=lambda each: getattr(each, "type_name", ""))
async def test_a_fact_of_a_participant_is_stated_by_its_roles_only(study: Study, fact: Fact, allowed: str) -> None:
    participant = await study.new()
    statuses = {member: await study.status(member, participant, fact) for member in MEMBERS}
    assert {member for member, status in statuses.items() if status in (200, 422)} == set(allowed.split())
    assert statuses.pop("mia") == (403 if "sam" not in allowed else 404)
    assert {status for member, status in statuses.items() if member not in allowed.split()} == {403}


@pytest.mark.parametrize(("fact", "allowed"), MAY_OF_STUDY, ids=lambda each: getattr(each, "type_name", ""))
async def test_a_fact_of_the_study_is_stated_by_its_roles_only(study: Study, fact: Fact, allowed: str) -> None:
    statuses = {member: await study.status(member, STUDY, fact) for member in MEMBERS}
    assert {member for member, status in statuses.items() if status == 200} == set(allowed.split())
    assert {status for member, status in statuses.items() if member not in allowed.split()} == {403}


async def test_the_participant_of_another_site_is_not_found_like_one_that_never_was(study: Study) -> None:
    participant = await study.new()
    seen, unknown = [await study.refusal("mia", each, procedure()) for each in (participant, new_participant_id())]
    assert (type(seen), seen.title, seen.code) == (NotFound, unknown.title, unknown.code)
    assert type(await study.refusal("carl", new_participant_id(), procedure())) is NotFound


async def test_who_has_no_grant_finds_no_study(study: Study) -> None:
    participant = await study.new()
    assert [await study.status("eve", stream, procedure()) for stream in (participant, None)] == [404, 404]
    assert await study.status("eve", STUDY, study_closed()) == 404


async def test_a_site_screens_for_itself(study: Study) -> None:
    assert await study.status("sam", None, screened(site_id="milan")) == 403
    assert await study.status("carl", None, screened(site_id="milan")) == 200
    assert await study.status("mona", None, screened()) == 403


async def test_who_sees_a_participant_but_may_not_state_it_is_told_so(study: Study) -> None:
    participant = await study.new()
    await study.state("ada", STUDY, granted("mia", "monitor"))
    assert await study.status("mia", participant, procedure()) == 403


async def test_a_member_of_two_sites_states_at_both(study: Study) -> None:
    await study.state("ada", STUDY, granted("mia", "site", "rome"))
    at_rome, at_milan = await study.new("sam"), await study.new("mia", screened(site_id="milan"))
    assert [await study.status("mia", stream, procedure()) for stream in (at_rome, at_milan)] == [200, 200]


async def test_a_grant_and_its_revocation_are_honoured_at_once_by_every_process(study: Study) -> None:
    participant, other = await study.new(), Study(study.store)
    assert await other.status("sam", participant, procedure()) == 200
    await study.state("ada", STUDY, revoked("sam", "site", "rome"))
    assert await other.status("sam", participant, procedure()) == 404
    await study.state("ada", STUDY, granted("sam", "site", "rome"))
    assert await other.status("sam", participant, procedure()) == 200


async def test_only_who_was_found_entitled_opens_a_study() -> None:
    unopened = Study(MemoryStore("enrollment"))
    for facts in (OPENING, OPENING[:1], OPENING[1:], (study_closed(),)):
        assert type(await unopened.refusal("ada", STUDY, *facts)) is NotFound
    not_opened = await unopened.refusal("ada", STUDY, granted("ada", "administrator"), opens_study=True)
    assert [fault.code for fault in not_opened.faults] == ["study-not-open"]
    assert (await unopened.state("ada", STUDY, *OPENING, opens_study=True)).version == 2


async def test_a_study_is_opened_once_and_then_its_own(study: Study) -> None:
    again = await study.refusal("ada", STUDY, *OPENING, opens_study=True)
    assert {fault.code for fault in again.faults} == {"stated-twice"}
    other = await study.refusal("eve", STUDY, opened(), granted("eve", "administrator"), opens_study=True)
    assert other.code == "study-exists"


async def test_of_two_who_open_a_study_at_once_one_does() -> None:
    first = Study(MemoryStore("enrollment"))
    other, meanwhile = interleaved(first)
    meanwhile.append(lambda: first.state("ada", STUDY, *OPENING, opens_study=True))
    taken = await other.refusal("eve", STUDY, opened(), granted("eve", "administrator"), opens_study=True)
    assert taken.code == "study-exists"
    assert await first.types(STUDY) == ["study.opened", "study.member_granted"]


# What is kept


async def test_a_new_participant_gets_a_number_of_its_own(study: Study) -> None:
    numbers = {await study.new(), await study.new()}
    assert len(numbers) == 2
    assert {participant_id(number) for number in numbers} == numbers


async def test_an_event_says_what_was_stated_where_when_and_by_whom(study: Study) -> None:
    participant = await study.new()
    recording = await study.state("carl", participant, procedure())
    event = (await study.recalled(participant)).events[-1]
    assert (recording.version, recording.event_ids, recording.recorded_at) == (4, (event.event_id,), AT)
    assert (event.version, event.type, event.site_id, event.recorded_at) == (4, "procedure.performed", "rome", AT)
    assert event.meta["recorded_by"] == "carl"
    assert event.meta["judged_by"] == {"study_version": (await study.recalled(STUDY)).head.version}
    assert event.stated().fact == procedure()


async def test_a_correction_says_what_it_corrects(study: Study) -> None:
    participant = await study.new()
    first = (await study.recalled(participant)).events[1]
    await study.state("ivan", participant, correction(first.event_id, consented(-1)))
    assert (await study.recalled(participant)).events[-1].meta["corrects"] == {
        "type": "participant.consented",
        "version": 2,
    }


async def test_where_a_participant_stands_is_kept_in_view(study: Study) -> None:
    steps = (consented(), enrolled(), withdrawn(), voided())
    participant = (await study.state("sam", None, screened())).stream_id
    seen = [(await study.recalled(participant)).head.summary["status"]]
    for fact in steps:
        await study.state("sam", participant, fact)
        seen.append((await study.recalled(participant)).head.summary["status"])
    assert seen == ["screening", "consented", "enrolled", "withdrawn", "voided"]


async def test_a_dry_run_records_nothing(study: Study) -> None:
    participant = await study.new()
    before = await study.recalled(participant)
    tried = await study.state("sam", participant, procedure(), dry_run=True, key="k", request=b"try")
    assert tried.version == before.head.version + 1
    await study.state("sam", None, screened(local_reference="PAT-1"), dry_run=True)
    assert await study.recalled(participant) == before
    assert await study.participants() == [participant]
    assert (await study.state("sam", participant, procedure(), key="k")).version == tried.version
    assert type(await study.refusal("sam", participant, enrolled(), dry_run=True)) is Unacceptable


def at_version(*versions: int) -> VersionGuard:
    return VersionGuard(frozenset(versions))


async def test_a_statement_under_the_version_it_was_made_by_is_recorded(study: Study) -> None:
    participant = await study.new()
    assert (await study.state("sam", participant, procedure(), if_match=at_version(3))).version == 4
    for stale in ((0,), (3,), (5, 6), ()):
        refused = await study.refusal("sam", participant, procedure(), if_match=at_version(*stale))
        assert type(refused) is VersionMismatch
        assert "at version 4" in refused.faults[0].message
    assert (await study.state("sam", participant, procedure(), if_match=at_version(3, 4))).version == 5


async def test_any_version_is_one_that_there_is(study: Study) -> None:
    participant, any_version = await study.new(), VersionGuard(None)
    assert (await study.state("sam", participant, procedure(), if_match=any_version)).version == 4
    assert type(await study.refusal("sam", None, screened(), if_match=any_version)) is VersionMismatch


async def test_a_batch_is_recorded_whole_or_not_at_all(study: Study) -> None:
    participant = await study.new()
    refused = await study.refusal("sam", participant, course(), lesion(), completed(-1), procedure("2026"))
    assert {(fault.code, fault.pointer) for fault in refused.faults} == {
        ("course-not-started", "/2/data/course_id"),
        ("in-the-future", "/3/data/performed_on"),
    }
    assert len(await study.types(participant)) == 3
    recording = await study.state("sam", participant, course(), lesion(), completed())
    assert (recording.version, len(recording.event_ids)) == (6, 3)


async def test_a_new_participant_is_recorded_whole_or_not_at_all(study: Study) -> None:
    refused = await study.refusal("sam", None, screened(criteria={**MET, "histology": "not_met"}), enrolled())
    assert {fault.code for fault in refused.faults} == {"not-eligible", "no-consent"}
    assert await study.participants() == []


async def test_an_objection_points_to_the_member_that_is_at_fault(study: Study) -> None:
    participant = await study.new()
    targets = [
        await study.refusal("sam", participant, *facts) for facts in ([consented("2019")], [enrolled(), lesion()])
    ]
    assert [[(fault.code, fault.pointer) for fault in refused.faults] for refused in targets[:1]] == [
        [("consent-version", "/form_version"), ("no-such-day", "")][:1]
    ]
    ids = [event.event_id for event in (await study.recalled(participant)).events]
    assert {(fault.code, fault.pointer, fault.because_of) for fault in targets[1].faults} == {
        ("stated-twice", "/0/data", str(ids[2])),
    }


async def test_two_facts_that_exclude_each_other_are_one_objection_in_an_answer(study: Study) -> None:
    participant = await study.new()
    stated = await study.state("sam", participant, voided())
    refused = await study.refusal("sam", participant, voided())
    assert sorted((fault.code, fault.because_of) for fault in refused.faults) == [
        ("participant-voided", str(stated.event_ids[0])),
        ("stated-twice", str(stated.event_ids[0])),
    ]


async def test_an_objection_to_an_older_event_has_no_place_in_the_body_and_names_the_event(study: Study) -> None:
    participant = await study.new()
    older = (await study.state("sam", participant, course(), changed(20))).event_ids[1]
    (fault,) = (await study.refusal("sam", participant, completed(19))).faults
    assert (fault.code, fault.pointer, fault.because_of) == ("course-ended", "", str(older))


async def test_an_objection_to_a_correction_points_into_its_replacement(study: Study) -> None:
    participant = await study.new()
    consent, enrolment = [event.event_id for event in (await study.recalled(participant)).events][1:]
    by_gate = await study.refusal("sam", participant, correction(consent, consented(0, "9")))
    assert [fault.pointer for fault in by_gate.faults] == ["/replacement/data/form_version"]
    by_rules = await study.refusal("sam", participant, procedure(), correction(enrolment, enrolled(-1)))
    assert [fault.pointer for fault in by_rules.faults] == ["/1/data/replacement/data/enrolled_on"]
    other_type = await study.refusal("sam", participant, correction(enrolment, consented()))
    assert [(fault.code, fault.pointer) for fault in other_type.faults] == [("other-type", "/replacement/type")]
    unknown = await study.refusal("sam", participant, correction(UUID(int=1), None))
    assert [(fault.code, fault.pointer) for fault in unknown.faults] == [("no-such-event", "/event_id")]


# Sent twice


async def test_the_same_request_under_the_same_key_gets_the_same_answer(study: Study) -> None:
    participant = await study.new()
    first = await study.state("sam", participant, procedure(), key="k")
    await study.state("sam", participant, lesion())
    assert await study.state("sam", participant, procedure(), key="k") == first
    assert (await study.types(participant)).count("procedure.performed") == 1


async def test_neither_an_event_id_nor_a_stored_key_can_be_computed_from_the_key(study: Study) -> None:
    first = await study.state("sam", None, screened(), key="patient-0048213")
    (event,) = first.event_ids
    scope = f"{STUDY}/enrollment/rome/patient-0048213"
    assert event == EVENT_KEY.event_id(scope, 0)
    assert event not in (legacy_event_id(scope, 0), EventKey(bytes(32)).event_id(scope, 0))
    assert "0048213" not in repr(vars(study.store))


async def test_a_request_that_was_recorded_before_keys_were_hashed_is_recognized(study: Study) -> None:
    participant = await study.new()
    legacy = Study(_WithoutHashes(study.store), study.store)
    first = await legacy.state("sam", participant, procedure(), key="k")
    registered = await legacy.state("sam", None, screened(), key="new")
    for again in (study, Study(study.store)):
        assert await again.state("sam", participant, procedure(), key="k") == first
        assert await again.state("sam", None, screened(), key="new") == registered
        assert (await again.refusal("sam", participant, lesion(), key="k")).code == "idempotency-key-reused"
    assert len(await study.participants()) == 2


async def test_an_event_of_before_can_be_stated_again_under_its_id(study: Study) -> None:
    participant, now = await study.new(), study.recorder
    study.recorder = replace(now, event_key=_LegacyIds(bytes(32)))
    first = await study.state("sam", participant, procedure(), key="k")
    study.recorder = now
    assert str(first.event_ids[0])[14] == "5"
    again = await study.state("sam", participant, procedure(), key=str(first.event_ids[0]))
    assert (again, again.replayed) == (first, True)


async def test_an_outcome_that_is_repeated_is_marked_and_a_dry_run_repeats_it_too(study: Study) -> None:
    participant = await study.new()
    first = await study.state("sam", participant, procedure(), key="k")
    assert not first.replayed
    for key in ("k", str(first.event_ids[0])):
        for dry_run in (True, False):
            again = await study.state("sam", participant, procedure(), key=key, dry_run=dry_run)
            assert (again, again.replayed) == (first, True)
            other = await study.refusal("sam", participant, lesion(), key=key, dry_run=dry_run)
            assert other.code == "idempotency-key-reused"
    assert (await study.types(participant)).count("procedure.performed") == 1


async def test_a_participant_registered_twice_under_one_key_is_one_participant(study: Study) -> None:
    facts = screened(), consented()
    first = await study.state("sam", None, *facts, key="k")
    assert await study.state("sam", None, *facts, key="k") == first
    assert await study.state("carl", None, *facts, key="k") == first
    assert await study.participants() == [first.stream_id]


async def test_a_key_is_not_used_for_another_request(study: Study) -> None:
    participant = await study.new()
    await study.state("sam", participant, procedure(), key="k")
    refused = await study.refusal("sam", participant, lesion(), key="k")
    assert (type(refused), refused.code) == (Unacceptable, "idempotency-key-reused")
    elsewhere = await study.refusal("sam", await study.new(), lesion(), key="k")
    assert elsewhere.code == "idempotency-key-reused"


async def test_of_two_equal_requests_at_once_one_is_recorded_and_both_are_answered(study: Study) -> None:
    participant = await study.new()
    one, other = await asyncio.gather(*(study.state("sam", participant, procedure(), key="k") for _ in range(2)))
    assert one == other
    assert (await study.types(participant)).count("procedure.performed") == 1


async def test_of_two_equal_requests_that_race_the_second_gets_the_outcome_of_the_first(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.append(lambda: study.state("sam", participant, procedure(), key="k"))
    raced = await other.state("sam", participant, procedure(), key="k")
    assert raced == await study.state("sam", participant, procedure(), key="k")
    meanwhile.append(lambda: study.state("sam", None, screened(), key="new"))
    registered = await other.state("sam", None, screened(), key="new")
    assert registered == await study.state("sam", None, screened(), key="new")
    assert len(await study.participants()) == 2


async def test_the_keys_of_two_sites_do_not_meet(study: Study) -> None:
    rome = await study.state("sam", None, screened(), key="k", request=b"same")
    milan = await study.state("mia", None, screened(site_id="milan"), key="k", request=b"same")
    assert rome.stream_id != milan.stream_id
    assert set(rome.event_ids).isdisjoint(milan.event_ids)


async def test_a_key_is_looked_up_after_the_right_to_state(study: Study) -> None:
    participant = await study.new()
    await study.state("sam", participant, procedure(), key="k")
    assert [type(await study.refusal(member, participant, procedure(), key="k")) for member in ("mona", "mia")] == [
        NotYourRole,
        NotFound,
    ]


async def test_after_a_refusal_the_key_is_free(study: Study) -> None:
    participant = await study.new()
    await study.refusal("sam", participant, completed(), key="k")
    assert (await study.state("sam", participant, procedure(), key="k")).version == 4
    await study.refusal("sam", participant, lesion(), key="other", if_match=at_version(1))
    assert (await study.state("sam", participant, lesion(), key="other")).version == 5


async def test_an_exported_event_can_be_stated_again_under_its_own_id(study: Study) -> None:
    participant = await study.new()
    note = procedure(detail="under local anaesthesia")
    first = await study.state("sam", participant, note)
    key = str(first.event_ids[0])
    assert await study.state("sam", participant, note, key=key) == first
    for other in (procedure(1, detail="under local anaesthesia"), procedure(detail="awake"), procedure(), lesion()):
        assert (await study.refusal("sam", participant, other, key=key)).code == "idempotency-key-reused"
    assert (await study.refusal("sam", participant, note, note, key=key)).code == "idempotency-key-reused"
    assert len(await study.types(participant)) == 4


async def test_the_id_of_another_participants_event_is_a_key_like_any_other(study: Study) -> None:
    one, other = await study.new(), await study.new()
    first = await study.state("sam", one, procedure())
    second = await study.state("sam", other, procedure(), key=str(first.event_ids[0]))
    assert (second.stream_id, second.version) == (other, 4)


# Sealed text


async def test_a_sealed_text_is_encrypted_beside_the_event_and_nowhere_else(study: Study) -> None:
    secret = "moved to her daughter"
    participant = await study.new()
    for fact in (procedure(detail=secret), withdrawn(reason=secret)):
        await study.state("sam", participant, fact)
    voided_one = (await study.recalled(participant)).events[3].event_id
    await study.state("sam", participant, correction(voided_one, procedure(-1, detail=secret), reason=secret))
    events = (await study.recalled(participant)).events[3:]
    assert [(secret in repr(event), secret.encode() in (event.sealed or b"")) for event in events] == [(False,) * 2] * 3
    async with study.store.unit(Tenant(STUDY)) as unit:
        opened_by = opener(VAULT, await unit.data_key(participant))
    assert [dict(opened_by(event)) for event in events] == [
        {"/detail": secret},
        {"/reason": secret},
        {"/reason": secret, "/replacement/data/detail": secret},
    ]


async def test_who_may_not_read_a_text_cannot_find_it_by_guessing_either(study: Study) -> None:
    """Not even where the key names the event, and all else that was stated of it is known."""
    moved = await study.new("sam", screened(local_reference="PAT-4711"))
    note = (await study.state("sam", moved, procedure(detail="awake"))).event_ids[0]
    await study.state("sam", moved, transferred("milan"))
    references = screened(local_reference="PAT-4711"), screened(local_reference="PAT-9")
    for who, event, guesses, code in (
        ("mia", await screening(study, moved), references, "idempotency-key-reused"),
        ("carl", await screening(study, moved), references, "local-reference"),
        ("mia", note, (procedure(detail="awake"), procedure(detail="asleep")), "idempotency-key-reused"),
        ("carl", note, (procedure(detail="awake"), procedure(detail="asleep")), "idempotency-key-reused"),
    ):
        told = [(await study.refusal(who, moved, guess, key=str(event))).code for guess in guesses]
        assert told == [code, code], (who, guesses)
    assert len(await study.types(moved)) == 3


SECRET_TEXT = {"detail": "awake"}
WAIVED = {"histology": "met", "rt-indicated": "waived"}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_who_may_not_read_a_text_cannot_find_it_by_repeating_a_request(study: Study, dry_run: bool) -> None:
    """Under a key of the site: whatever the body says, it is compared with nothing."""
    participant = await study.new()
    await study.state("sam", participant, procedure(**SECRET_TEXT), key="k")
    registered = screened(waivers={"rt-indicated": "exception"}, criteria=WAIVED)
    await study.state("sam", None, registered, key="new")
    guesses: list[tuple[str | None, str, Fact]] = []
    guesses.extend((participant, "k", procedure(detail=text)) for text in ("awake", "asleep"))
    waived = [screened(waivers={"rt-indicated": text}, criteria=WAIVED) for text in ("exception", "other")]
    guesses.extend((None, "new", guess) for guess in waived)
    told = [await study.refusal("carl", of, guess, key=key, dry_run=dry_run) for of, key, guess in guesses]
    assert {(type(each), each.code, each.title, each.faults) for each in told} == {
        (Unacceptable, "idempotency-key-reused", "The idempotency key was used for another request. Use a new key.", ())
    }


async def test_a_right_guess_asks_the_store_for_as_much_as_a_wrong_one(study: Study) -> None:
    """How long an answer takes must not tell either: the statements are counted, since wall time says little here."""
    participant = await study.new("sam", screened(local_reference="PAT-1"))
    note = await study.state("sam", participant, procedure(**SECRET_TEXT), key="k")
    void = (await study.state("sam", participant, voided())).event_ids[0]
    screening_id = await screening(study, participant)
    counting = Counting(study.store)
    other = Study(counting, study.store)
    ways: list[tuple[tuple[Fact, Fact], str | None, dict[str, Any]]] = [
        ((procedure(detail="awake"), procedure(detail="asleep")), participant, {"key": "k"}),
        ((procedure(detail="awake"), procedure(detail="asleep")), participant, {"key": str(note.event_ids[0])}),
        ((screened(local_reference="PAT-1"), screened(local_reference="PAT-2")), None, {"key": "other"}),
        (
            (
                correction(screening_id, screened(local_reference="PAT-1")),
                correction(screening_id, screened(local_reference="PAT-2")),
            ),
            participant,
            {"dry_run": True},
        ),
    ]
    for guesses, of, said in ways:
        asked = []
        for guess in guesses:
            counting.asked.clear()
            await other.refusal("carl", of, guess, **said)
            asked.append(list(counting.asked))
        assert asked[0] == asked[1], said
    await study.new("sam", screened(local_reference="PAT-1"))  # the reference is in use now
    alone = await study.new("sam", screened(local_reference="PAT-9"))
    free = (await study.state("sam", alone, voided())).event_ids[0]
    asked = []
    for number, event in ((participant, void), (alone, free)):
        counting.asked.clear()
        await other.state("ivan", number, correction(event, None), dry_run=True)
        asked.append(list(counting.asked))
    assert asked[0] == asked[1]


async def test_a_repeat_without_a_text_does_not_tell_whether_there_was_one(study: Study) -> None:
    participant = await study.new()
    with_text = await study.state("sam", participant, procedure(**SECRET_TEXT), key="with")
    without = await study.state("sam", participant, procedure(), key="without")
    for key, first in (("with", with_text), ("without", without)):
        assert await study.state("carl", participant, procedure(), key=key) == first
        assert (await study.refusal("carl", participant, procedure(1), key=key)).code == "idempotency-key-reused"


async def test_a_key_that_was_used_for_another_participant_does_not_answer_for_this_one(study: Study) -> None:
    """Nothing would be recorded of this participant, and the answer would be of another."""
    participant, other = await study.new(), await study.new()
    await study.state("sam", participant, procedure(), key="7")
    for who in ("sam", "carl"):
        for dry_run in (True, False):
            refused = await study.refusal(who, other, procedure(), key="7", dry_run=dry_run)
            assert refused.code == "idempotency-key-reused", who
    registered = await study.state("sam", None, screened(), key="new")
    assert await study.state("carl", None, screened(), key="new") == registered
    assert (await study.refusal("carl", other, screened(), key="new")).code == "idempotency-key-reused"


async def test_colleagues_of_the_site_and_the_sender_repeat_a_request_with_its_text(study: Study) -> None:
    participant = await study.new()
    first = await study.state("sam", participant, procedure(**SECRET_TEXT), key="k")
    assert await study.state("cora", participant, procedure(**SECRET_TEXT), key="k") == first
    assert (
        await study.refusal("cora", participant, procedure(detail="asleep"), key="k")
    ).code == "idempotency-key-reused"
    own = await study.state("carl", participant, procedure(**SECRET_TEXT), key="carls")
    for key in ("carls", str(own.event_ids[0])):
        assert await study.state("carl", participant, procedure(**SECRET_TEXT), key=key) == own
        assert (
            await study.refusal("carl", participant, procedure(detail="x"), key=key)
        ).code == "idempotency-key-reused"


async def test_who_corrected_does_not_find_the_texts_that_the_correction_carried_over(study: Study) -> None:
    """The event of the correction is the corrector's own, the text in it is not."""
    participant = await study.new()
    note = (await study.state("sam", participant, procedure(**SECRET_TEXT))).event_ids[0]
    mended = await study.state("ivan", participant, correction(note, procedure(-1)))
    for text in ("awake", "asleep"):
        guess = correction(note, procedure(-1, detail=text))
        assert (await study.refusal("ivan", participant, guess, key=str(mended.event_ids[0]))).code == (
            "idempotency-key-reused"
        )


async def standing_texts(study: Study, participant: str) -> dict[str, str]:
    """Of the last event, by JSON pointer."""
    last = (await study.recalled(participant)).events[-1]
    async with study.store.unit(Tenant(STUDY)) as unit:
        return dict(opener(VAULT, await unit.data_key(participant))(last))


async def test_a_correction_by_who_was_not_shown_a_text_keeps_it(study: Study) -> None:
    participant = await study.new()
    stated = (await study.state("sam", participant, withdrawn(5, reason="moves abroad"))).event_ids[0]
    for day, own in ((6, "the form says so"), (7, "and the letter")):  # its own reason is the correction's alone
        await study.state("ivan", participant, correction(stated, withdrawn(day), reason=own))
        assert await standing_texts(study, participant) == {"/reason": own, "/replacement/data/reason": "moves abroad"}


async def test_a_participant_has_one_data_key_and_only_where_something_is_sealed(study: Study) -> None:
    participant, keys = await study.new(), []
    for fact in (lesion(), procedure(detail="awake"), procedure(detail="asleep")):
        await study.state("sam", participant, fact)
        async with study.store.unit(Tenant(STUDY)) as unit:
            keys.append(await unit.data_key(participant))
    assert keys[0] is None
    assert keys[1] == keys[2] is not None


async def test_a_refusal_quotes_no_text(study: Study) -> None:
    await study.state("sam", None, screened(local_reference="PAT-0815"))
    refused = await study.refusal("sam", None, screened(local_reference="PAT-0815"))
    assert "0815" not in repr((refused, refused.title, refused.faults))


# A site's own number


async def known_as(study: Study, participant: str) -> bytes | None:
    return (await study.recalled(participant)).head.search_key


async def screening(study: Study, participant: str) -> UUID:
    return (await study.recalled(participant)).events[0].event_id


async def test_a_site_uses_its_reference_for_one_participant(study: Study) -> None:
    first = (await study.state("sam", None, screened(local_reference="PAT-1"))).stream_id
    assert await known_as(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")
    for same in ("PAT-1", " pat-1 "):
        refused = await study.refusal("cora", None, screened(local_reference=same))
        assert (type(refused), refused.status) == (AlreadyRegistered, 409)
    await study.new("mia", screened(site_id="milan", local_reference="PAT-1"))
    await study.new("sam", screened(local_reference="PAT-2"))
    assert len(await study.participants()) == 3


async def test_a_reference_is_stated_by_the_site_alone_and_by_others_not_even_tried(study: Study) -> None:
    """Used and unused, right and wrong, real and dry: one answer, with a pointer."""
    first = await study.new("sam", screened(local_reference="PAT-1"))
    other = await study.new("sam", screened(local_reference="PAT-2"))
    told = set()
    for guess in ("PAT-1", "PAT-2", "PAT-3"):
        for who in ("carl", "ivan"):
            for participant in (first, other):
                mended = correction(await screening(study, participant), screened(local_reference=guess))
                for dry_run in (True, False):
                    for stated in ((mended,), (mended, correction(mended.event_id, None))):
                        refused = await study.refusal(who, participant, *stated, dry_run=dry_run)
                        told.add((len(stated), type(refused), refused.code, refused.title, refused.faults))
    assert [(count, code, faults[0].pointer) for count, _, code, _, faults in sorted(told, key=lambda one: one[0])] == [
        (1, "local-reference", "/replacement/data/local_reference"),
        (2, "local-reference", "/0/data/replacement/data/local_reference"),
    ]
    for guess in ("PAT-1", "PAT-3"):
        refused = await study.refusal("carl", None, screened(local_reference=guess))
        assert (refused.code, refused.faults[0].pointer) == ("local-reference", "/local_reference")
        mia = await study.refusal("mia", None, screened(local_reference=guess))
        assert type(mia) is NotYourRole
    await study.state("ivan", first, correction(await screening(study, first), screened(sex="male")))
    assert await known_as(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")


async def test_who_reinstates_a_participant_is_not_told_that_the_reference_is_in_use(study: Study) -> None:
    first = await study.new("sam", screened(local_reference="PAT-1"))
    alone = await study.new("sam", screened(local_reference="PAT-2"))
    voids = [(await study.state("sam", number, voided())).event_ids[0] for number in (first, alone)]
    second = await study.new("sam", screened(local_reference="PAT-1"))
    for number, void in zip((first, alone), voids, strict=True):
        for dry_run in (True, False):
            done = await study.state("ivan", number, correction(void, None), dry_run=dry_run)
            assert done.version == 3
    known = [await known_as(study, number) for number in (first, second, alone)]
    assert known == [None, *(VAULT.blind_index(STUDY, "rome", reference) for reference in ("PAT-1", "PAT-2"))]
    await study.state("carl", first, consented())
    refused = await study.refusal(
        "sam", first, correction(await screening(study, first), screened(local_reference="PAT-1"))
    )
    assert type(refused) is AlreadyRegistered


async def test_who_hands_a_participant_back_is_not_told_that_the_reference_is_in_use(study: Study) -> None:
    moved = await study.new("sam", screened(local_reference="PAT-1"))
    await study.state("sam", moved, transferred("milan", 5))
    await study.new("sam", screened(local_reference="PAT-1"))
    for dry_run in (True, False):
        await study.state("mia", moved, transferred("rome", 9), dry_run=dry_run)
    recalled = await study.recalled(moved)
    assert (recalled.head.site_id, recalled.head.search_key) == ("rome", None)


async def test_voiding_a_participant_releases_its_reference_until_the_void_is_voided(study: Study) -> None:
    first = await study.new("sam", screened(local_reference="PAT-1"))
    void = (await study.state("sam", first, voided())).event_ids[0]
    assert await known_as(study, first) is None
    second = await study.new("sam", screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", first, correction(void, None))) is AlreadyRegistered
    await study.state("sam", second, voided())
    await study.state("sam", first, correction(void, None))
    assert await known_as(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")


async def test_a_corrected_screening_carries_the_reference_that_counts(study: Study) -> None:
    first = await study.new("sam", screened(local_reference="PAT-1"))
    await study.state("sam", first, correction(await screening(study, first), screened(local_reference="PAT-2")))
    await study.new("sam", screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", None, screened(local_reference="PAT-2"))) is AlreadyRegistered
    back = correction(await screening(study, first), screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", first, back)) is AlreadyRegistered
    await study.state("sam", first, consented())
    assert await known_as(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-2")


async def test_a_transfer_takes_the_participant_and_leaves_the_reference(study: Study) -> None:
    moved = await study.new("sam", screened(local_reference="PAT-1"))
    await study.state("sam", moved, transferred("milan"))
    recalled = await study.recalled(moved)
    assert (recalled.head.site_id, recalled.head.search_key) == ("milan", None)
    assert [event.site_id for event in recalled.events if event.sealed] == ["rome"]
    assert [await study.status(member, moved, consented()) for member in ("sam", "cora", "mia", "carl")] == [
        404, 404, 200, 200,
    ]  # fmt: skip
    await study.new("sam", screened(local_reference="PAT-1"))


async def test_the_new_site_states_its_own_reference_by_correcting_the_screening(study: Study) -> None:
    moved = await study.new("sam", screened(local_reference="PAT-1"))
    await study.state("sam", moved, transferred("milan"))
    own = correction(await screening(study, moved), screened(local_reference="MI-9"))
    await study.state("mia", moved, own)
    assert await known_as(study, moved) == VAULT.blind_index(STUDY, "milan", "MI-9")
    assert (await study.recalled(moved)).events[-1].site_id == "milan"
    again = await study.refusal("mia", None, screened(site_id="milan", local_reference="MI-9"))
    assert type(again) is AlreadyRegistered
    await study.new("sam", screened(local_reference="MI-9"))


async def test_who_comes_back_is_known_by_the_old_reference_again(study: Study) -> None:
    moved = await study.new("sam", screened(local_reference="PAT-1"))
    transfer = (await study.state("sam", moved, transferred("milan", 5))).event_ids[0]
    await study.state("mia", moved, transferred("rome", 9))
    assert await known_as(study, moved) == VAULT.blind_index(STUDY, "rome", "PAT-1")
    other = await study.new("sam", screened(local_reference="PAT-2"))
    mistaken = (await study.state("ada", other, transferred("milan", 5))).event_ids[0]
    await study.state("mia", other, correction(mistaken, None))
    recalled = await study.recalled(other)
    assert (recalled.head.site_id, recalled.head.search_key) == ("rome", VAULT.blind_index(STUDY, "rome", "PAT-2"))
    assert transfer != mistaken


@pytest.mark.parametrize("same", ["MU\u0308LLER-07", "m\u00fcller-07", "M\u00dcLLER\u00a0-07", " M\u00dcLLER-07 "])
async def test_a_reference_is_the_same_however_its_letters_are_composed(study: Study, same: str) -> None:
    await study.new("sam", screened(local_reference="M\u00dcLLER-07" if "\u00a0" not in same else "M\u00dcLLER -07"))
    assert type(await study.refusal("sam", None, screened(local_reference=same))) is AlreadyRegistered


async def test_a_leading_zero_makes_another_reference(study: Study) -> None:
    await study.new("sam", screened(local_reference="00123"))
    await study.new("sam", screened(local_reference="123"))
    await study.new("sam", screened(local_reference="1E5"))
    assert len(await study.participants()) == 3


# Duplicates


def same_as(number: str) -> Fact:
    return voided("duplicate", number)


async def refused_at(study: Study, by: str, stream: str, fact: Fact) -> list[tuple[str, str]]:
    return [(fault.code, fault.pointer) for fault in (await study.refusal(by, stream, fact)).faults]


async def test_a_record_is_void_as_a_duplicate_of_another(study: Study) -> None:
    first, second = await study.new(), await study.new()
    await study.state("sam", second, same_as(first))
    assert (await study.recalled(second)).head.summary["status"] == "voided"


async def test_a_participant_is_no_duplicate_of_itself(study: Study) -> None:
    number = await study.new()
    for stated in (same_as(number), same_as(number.replace("-", "").lower())):
        assert await refused_at(study, "sam", number, stated) == [("duplicate-of-itself", "/duplicate_of")]
    await study.state("sam", number, consented())
    assert await refused_at(study, "sam", number, same_as(number)) == [("duplicate-of-itself", "/duplicate_of")]


async def test_records_are_no_duplicates_of_each_other(study: Study) -> None:
    numbers = [await study.new() for _ in range(4)]
    for number, other in pairwise(numbers):
        await study.state("sam", number, same_as(other))
    for other in numbers[:3]:
        assert await refused_at(study, "carl", numbers[3], same_as(other)) == [("duplicate-circle", "/duplicate_of")]
    await study.state("sam", numbers[3], voided())


async def test_a_correction_closes_no_circle_either(study: Study) -> None:
    first, second = await study.new(), await study.new()
    mistaken = (await study.state("sam", first, voided("duplicate"))).event_ids[0]
    await study.state("sam", second, same_as(first))
    for number, code in ((second, "duplicate-circle"), (first, "duplicate-of-itself")):
        stated = correction(mistaken, same_as(number))
        assert await refused_at(study, "ivan", first, stated) == [(code, "/replacement/data/duplicate_of")]
    await study.state("sam", first, correction(mistaken, None))


async def test_a_circle_that_was_broken_by_a_correction_is_none(study: Study) -> None:
    first, second = await study.new(), await study.new()
    void = (await study.state("sam", second, same_as(first))).event_ids[0]
    await study.state("sam", second, correction(void, voided()))
    await study.state("sam", first, same_as(second))


async def test_of_whom_nobody_may_know_there_is_one_answer(study: Study) -> None:
    own, foreign = await study.new(), await study.new("mia")
    gone = await study.new("mia")
    await study.state("mia", gone, voided())
    answers = [await study.refusal("sam", own, same_as(each)) for each in (foreign, gone, new_participant_id(), NOBODY)]
    assert [[(fault.code, fault.pointer) for fault in each.faults] for each in answers] == [
        [("no-such-participant", "/duplicate_of")]
    ] * 4
    assert len({(each.status, each.title, str(each.faults)) for each in answers}) == 1
    await study.state("carl", own, same_as(foreign))


async def test_what_a_correction_leaves_of_a_void_is_not_asked_again(study: Study) -> None:
    original, copy = await study.new(), await study.new()
    void = (await study.state("sam", copy, same_as(original))).event_ids[0]
    await study.state("sam", original, transferred("milan"))
    await study.state("sam", copy, correction(void, same_as(original)))


# Others at the same time


async def test_two_who_state_of_one_participant_at_once_are_both_recorded(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.append(lambda: study.state("carl", participant, lesion()))
    assert (await other.state("sam", participant, procedure())).version == 5
    assert await study.types(participant) == [
        "participant.screened", "participant.consented", "participant.enrolled", "lesion.registered",
        "procedure.performed",
    ]  # fmt: skip


async def test_of_two_who_contradict_each_other_at_once_the_second_is_refused_by_the_rules(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.append(lambda: study.state("carl", participant, course()))
    refused = await other.refusal("sam", participant, course(3))
    assert {fault.code for fault in refused.faults} == {"course-exists", "second-index-course"}
    assert (await study.types(participant)).count("radiotherapy.started") == 1


async def test_many_at_once_leave_a_record_without_gap_or_double(study: Study) -> None:
    participant = await study.new()
    outcomes = await asyncio.gather(
        *(study.state("sam", participant, lesion(f"L{number % 4}")) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Unacceptable) for outcome in outcomes) == 4
    events = (await study.recalled(participant)).events
    assert all(later.version == earlier.version + 1 for earlier, later in pairwise(events))
    assert len(events) == 7


async def test_who_guards_a_version_is_told_when_another_was_faster(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.append(lambda: study.state("carl", participant, lesion()))
    refused = await other.refusal("sam", participant, procedure(), if_match=at_version(3))
    assert type(refused) is VersionMismatch
    assert "at version 4" in refused.faults[0].message
    assert "procedure.performed" not in await study.types(participant)


async def test_who_is_overtaken_every_time_is_asked_to_come_again(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.extend([lambda: study.state("carl", participant, procedure())] * ATTEMPTS)
    refused = await other.refusal("sam", participant, lesion())
    assert (type(refused), refused.status, refused.retry_after) == (Busy, 503, 1)
    assert "lesion.registered" not in await study.types(participant)


async def test_an_enrolment_is_decided_again_when_accrual_closes_meanwhile(study: Study) -> None:
    participant = await study.new("sam", screened(), consented())
    other, meanwhile = interleaved(study)
    meanwhile.append(lambda: study.state("ada", STUDY, accrual_closed(5)))
    refused = await other.refusal("sam", participant, enrolled(6))
    assert [fault.code for fault in refused.faults] == ["accrual-closed"]
    assert "participant.enrolled" not in await study.types(participant)
    assert (await other.state("sam", participant, enrolled(5))).version == 3


async def test_what_still_holds_when_the_study_moved_is_recorded_as_judged_by_the_new_version(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.append(lambda: study.state("ada", STUDY, site_activated("oslo")))
    await other.state("sam", participant, procedure())
    event = (await study.recalled(participant)).events[-1]
    assert event.meta["judged_by"] == {"study_version": (await study.recalled(STUDY)).head.version}


async def test_a_right_taken_away_meanwhile_is_gone(study: Study) -> None:
    participant, (other, meanwhile) = await study.new(), interleaved(study)
    meanwhile.append(lambda: study.state("ada", STUDY, revoked("sam", "site", "rome")))
    assert type(await other.refusal("sam", participant, procedure())) is NotFound
    assert len(await study.types(participant)) == 3


async def test_a_process_that_has_not_heard_of_a_change_of_the_study_asks_before_it_refuses(study: Study) -> None:
    other = Study(study.store)
    assert await other.status("carl", None, screened(site_id="oslo")) == 422
    await study.state("ada", STUDY, site_activated("oslo"))
    assert await other.status("carl", None, screened(site_id="oslo")) == 200


async def test_two_facts_of_the_study_at_once_are_both_recorded_or_refused_by_the_rules(study: Study) -> None:
    other, meanwhile = interleaved(study)
    meanwhile.append(lambda: study.state("ivan", STUDY, cut_taken("first")))
    await other.state("ada", STUDY, cut_taken("second"))
    meanwhile.append(lambda: study.state("ivan", STUDY, cut_taken("third")))
    refused = await other.refusal("ada", STUDY, cut_taken("third"))
    assert {fault.code for fault in refused.faults} == {"cut-exists"}


async def test_the_day_is_that_of_the_participants_present_site(study: Study) -> None:
    early = datetime(2025, 3, 7, 15, 30, tzinfo=UTC)
    clock = replace(CLOCK, frozen_or_shifted={}, now=lambda: early)
    study.recorder = Recorder(
        study.store, StoredStudies(study.store), judgements(clock, VAULT), VAULT, clock, EVENT_KEY
    )
    await study.state("ada", STUDY, site_activated("tokyo", zone="Asia/Tokyo"))
    participant = await study.new("sam")
    assert await study.status("carl", participant, procedure("2025-03-08")) == 422
    await study.state("sam", participant, transferred("tokyo"))
    assert await study.status("carl", participant, procedure("2025-03-08")) == 200


# What the memory of streams must not blur


async def test_a_key_means_the_same_request_after_a_transfer_too(study: Study) -> None:
    participant = await study.new()
    first = await study.state("carl", participant, procedure(), key="K")
    moved = await study.state("ada", participant, transferred("milan", 0), key="T")
    assert await study.state("ada", participant, transferred("milan", 0), key="T") == moved
    assert await study.state("carl", participant, procedure(), key="K") == first


async def test_what_the_old_site_sealed_does_not_follow_through_a_correction_by_others(study: Study) -> None:
    participant = await study.new("sam", screened(local_reference="PAT-4711"), *ON_STUDY[1:])
    await study.state("ada", participant, transferred("milan", 0))
    screening = (await study.recalled(participant)).events[0].event_id
    await study.state("ivan", participant, correction(screening, screened(sex="male")))
    after = await study.recalled(participant)
    assert (after.events[-1].sealed, after.head.search_key) == (None, None)


async def test_who_is_re_instated_by_others_is_known_by_the_sites_number_again(study: Study) -> None:
    participant = await study.new("sam", screened(local_reference="PAT-1"))
    screening, known = (await study.recalled(participant)).events[0].event_id, await study.recalled(participant)
    await study.state("ivan", participant, correction(screening, None))
    await study.state("ivan", participant, correction(screening, screened()))
    assert (await study.recalled(participant)).head.search_key == known.head.search_key
    assert type(await study.refusal("sam", None, screened(local_reference="PAT-1"))) is AlreadyRegistered


async def test_who_administers_one_site_does_not_administer_the_study(study: Study) -> None:
    await study.state("ada", STUDY, granted("bob", "administrator", "milan"))
    assert type(await study.refusal("bob", STUDY, granted("bob", "administrator"))) is NotYourRole


# Calendars of sites


async def test_tomorrow_begins_where_the_site_is() -> None:
    """At 10:30 UTC it is the next day in Kiribati, and still the day before on Niue."""
    clock = Clock(now=lambda: datetime(2024, 3, 7, 10, 30, tzinfo=UTC))
    study = Study(MemoryStore("enrollment"))
    study.recorder = Recorder(
        study.store, StoredStudies(study.store), judgements(clock, VAULT), VAULT, clock, EVENT_KEY
    )
    await study.state("ada", STUDY, *OPENING, opens_study=True)
    sites = site_activated("rome", zone="Pacific/Kiritimati"), site_activated("milan", zone="Pacific/Niue")
    await study.state("ada", STUDY, *sites, granted("sam", "site", "rome"), granted("mia", "site", "milan"))
    for by, site, today in (("sam", "rome", "2024-03-08"), ("mia", "milan", "2024-03-06")):
        await study.new(by, screened(today, site_id=site))
        tomorrow = (date.fromisoformat(today) + timedelta(days=1)).isoformat()
        for dry_run in (False, True):
            refused = await study.refusal(by, None, screened(tomorrow, site_id=site), dry_run=dry_run)
            assert [(fault.code, fault.pointer) for fault in refused.faults] == [("in-the-future", "/screened_on")]
