"""The command handler of toxicity in memory: its studies, grants and participants come from enrollment."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.toxicity import rules
from services.toxicity.gate import ToxicityGate
from shared.eventstore import role_check
from shared.eventstore.append_builder import text_opener
from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.stream_policy import StreamPolicies
from shared.inbox.participant_registry.stream_policy import ForeignParticipantPolicy
from shared.kernel.clock import Clock
from shared.kernel.errors import Fault, Forbidden, NotKnownYet, RequestError, RequestRejected
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.postgres.tenancy import Tenant
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey, Vault
from shared.testing.builders.events import enrollment_events
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    consent_withdrawn,
    correction,
    member_granted,
    member_revoked,
    participant_transferred,
    participant_voided,
    protocol,
    radiotherapy_started,
    site_activated,
    study_closed,
    study_opened,
)
from shared.testing.builders.toxicity_facts import attributions, finding, toxicity_assessed
from shared.testing.replicated_memory_store import MemoryReplicatedStudies

STUDY = "atc-rt"
CLOCK = Clock({"": date(2025, 3, 7)}, lambda: datetime(2025, 3, 7, 12, 30, tzinfo=UTC))
VAULT = Vault(KeyEncryptionKey(bytes(range(32))))
OPENING = (
    study_opened(protocol()),
    site_activated("rome"),
    site_activated("milan"),
    member_granted("sam", "site", "rome"),
    member_granted("mia", "site", "milan"),
    member_granted("rita", "reader"),
    member_granted("carl", "coordinator"),
    member_granted("ivan", "investigator"),
)


class ToxicityDriver:
    """The service, and the events that it has received from enrollment."""

    def __init__(self) -> None:
        store, vault = MemoryStore("toxicity"), VAULT
        stream_policy = ForeignParticipantPolicy(CLOCK, rules.objections, ToxicityGate)
        self.store, self.replicated_studies = store, MemoryReplicatedStudies(store)
        self.command_handler = CommandHandler(
            store,
            self.replicated_studies,
            StreamPolicies(stream_policy),
            vault,
            CLOCK,
            EventKey(bytes(32)),
            owns_participants=False,
        )
        self.known_versions: dict[str, int] = {}

    async def receive(self, stream: str, *facts: Fact) -> int:
        """Delivers facts of enrollment; returns the version up to which the stream is known."""
        start = self.known_versions.get(stream, 0) + 1
        self.known_versions[stream] = start + len(facts) - 1
        await self.replicated_studies.apply_events(enrollment_events(STUDY, stream, facts, start))
        return self.known_versions[stream]

    async def enrolled_participant(self, *facts_: Fact) -> str:
        participant_id = new_participant_id()
        await self.receive(participant_id, *ENROLLMENT_FACTS, *facts_)
        return participant_id

    async def record(self, by: str, participant_id: str, *facts: Fact, **options: Any) -> RecordedFacts:
        pointers = tuple(f"/{index}/data" for index in range(len(facts))) if len(facts) > 1 else ("",)
        return await self.command_handler.record(RecordFacts(STUDY, participant_id, facts, pointers, by, **options))

    async def refusal(self, by: str, participant_id: str, *facts: Fact, **options: Any) -> RequestError:
        with pytest.raises(RequestError) as refusal:
            await self.record(by, participant_id, *facts, **options)
        return refusal.value


@pytest.fixture
async def toxicity() -> ToxicityDriver:
    service = ToxicityDriver()
    await service.receive(STUDY, *OPENING)
    return service


async def test_fact_is_recorded_with_study_and_enrollment_versions(toxicity: ToxicityDriver) -> None:
    participant_id = await toxicity.enrolled_participant()
    assert (await toxicity.record("sam", participant_id, toxicity_assessed())).version == 1
    assert (await toxicity.record("sam", participant_id, toxicity_assessed(3))).version == 2
    async with toxicity.store.unit(Tenant(STUDY)) as unit:
        events = (await unit.load_stream(participant_id)).events
    assert [event.meta["judged_by"] for event in events] == [{"study_version": 8, "enrollment_version": 3}] * 2
    assert {event.site_id for event in events} == {"rome"}


async def test_unknown_and_foreign_participants_are_indistinguishable(
    toxicity: ToxicityDriver,
) -> None:
    known_participant, unknown_participant = await toxicity.enrolled_participant(), new_participant_id()
    refusals = [
        await toxicity.refusal("mia", known_participant, toxicity_assessed()),
        await toxicity.refusal("mia", unknown_participant, toxicity_assessed()),
        await toxicity.refusal("somebody else", known_participant, toxicity_assessed()),
        await ToxicityDriver().refusal("sam", known_participant, toxicity_assessed()),
    ]
    assert {(type(refusal), refusal.title, refusal.faults) for refusal in refusals} == {
        (NotKnownYet, NotKnownYet.title, ())
    }


async def test_role_without_permission_is_refused(toxicity: ToxicityDriver) -> None:
    assert isinstance(
        await toxicity.refusal("rita", await toxicity.enrolled_participant(), toxicity_assessed()), Forbidden
    )


async def test_unknown_course_is_not_known_yet_unless_the_version_has_arrived(
    toxicity: ToxicityDriver,
) -> None:
    participant_id = await toxicity.enrolled_participant()
    graded = toxicity_assessed(0, finding(attribution=attributions("course:RT1")), course_id="RT1")
    early = await toxicity.refusal("sam", participant_id, graded)
    assert isinstance(early, NotKnownYet)
    pointers = ["/course_id", "/findings/0/attribution/0/to"]
    assert sorted(fault.pointer for fault in early.faults) == pointers
    never = await toxicity.refusal("sam", participant_id, graded, after=3)
    assert isinstance(never, RequestRejected)
    assert sorted(fault.pointer for fault in never.faults) == pointers
    await toxicity.receive(participant_id, radiotherapy_started())
    assert (await toxicity.record("sam", participant_id, graded)).version == 1


async def test_final_faults_are_returned_with_faults_that_may_resolve(toxicity: ToxicityDriver) -> None:
    graded = toxicity_assessed(0, finding("3.0:0699", 1), course_id="RT1")
    refusal = await toxicity.refusal("sam", await toxicity.enrolled_participant(), graded)
    assert isinstance(refusal, RequestRejected)
    assert {fault.code for fault in refusal.faults} == {"no-such-course", "no-such-grade"}


async def test_command_waits_for_the_required_enrollment_version(
    toxicity: ToxicityDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    participant_id = await toxicity.enrolled_participant()
    graded = toxicity_assessed(0, course_id="RT1")
    waiting = asyncio.create_task(toxicity.record("sam", participant_id, graded, after=4))
    await asyncio.sleep(0)
    assert not waiting.done()
    await toxicity.receive(participant_id, radiotherapy_started())
    assert (await waiting).version == 1
    monkeypatch.setattr(role_check, "MAX_WAIT_SECONDS", 0.1)
    assert isinstance(await toxicity.refusal("sam", participant_id, graded, after=5), NotKnownYet)


@pytest.mark.parametrize(
    ("closure", "code"),
    [
        (consent_withdrawn(5), "after-withdrawal"),
        (consent_withdrawn(5, "data_use"), "after-withdrawal"),
        (participant_voided(), "participant-voided"),
    ],
)
async def test_closures_of_enrollment_apply_to_toxicity(toxicity: ToxicityDriver, closure: Fact, code: str) -> None:
    participant_id = await toxicity.enrolled_participant()
    before = await toxicity.record("sam", participant_id, toxicity_assessed(3))
    await toxicity.receive(participant_id, closure)
    refusal = await toxicity.refusal("sam", participant_id, toxicity_assessed(6))
    assert isinstance(refusal, RequestRejected)
    assert [fault.code for fault in refusal.faults] == [code]
    corrected = correction(before.event_ids[0], toxicity_assessed(2))
    assert (await toxicity.record("sam", participant_id, corrected)).version == 2
    assert (await toxicity.record("sam", participant_id, correction(before.event_ids[0], None))).version == 3


async def test_facts_after_the_end_of_the_study_are_refused(toxicity: ToxicityDriver) -> None:
    participant_id = await toxicity.enrolled_participant()
    await toxicity.receive(STUDY, study_closed(5))
    assert [fault.code for fault in (await toxicity.refusal("sam", participant_id, toxicity_assessed(6))).faults] == [
        "study-closed"
    ]
    assert (await toxicity.record("sam", participant_id, toxicity_assessed(5))).version == 1


async def test_transferred_participant_is_visible_at_the_new_site_only(toxicity: ToxicityDriver) -> None:
    participant_id = await toxicity.enrolled_participant()
    await toxicity.record("sam", participant_id, toxicity_assessed())
    await toxicity.receive(participant_id, participant_transferred("milan"))
    assert isinstance(await toxicity.refusal("sam", participant_id, toxicity_assessed(1)), NotKnownYet)
    assert (await toxicity.record("mia", participant_id, toxicity_assessed(2))).version == 2


async def test_revoked_grant_applies_as_soon_as_it_is_received(toxicity: ToxicityDriver) -> None:
    participant_id = await toxicity.enrolled_participant()
    await toxicity.record("sam", participant_id, toxicity_assessed())
    await toxicity.receive(STUDY, member_revoked("sam", "site", "rome"))
    assert isinstance(await toxicity.refusal("sam", participant_id, toxicity_assessed(1)), NotKnownYet)


async def test_assessment_before_the_year_of_birth_is_refused(toxicity: ToxicityDriver) -> None:
    refusal = await toxicity.refusal("sam", await toxicity.enrolled_participant(), toxicity_assessed("1946"))
    assert refusal.faults == (
        Fault(
            "before-birth",
            "This date is before the participant's year of birth. Check both.",
            "/assessed_on",
            refusal.faults[0].because_of,
        ),
    )


OTHER_TERM = "3.0:0699"


@pytest.mark.parametrize(
    "restated",
    [
        toxicity_assessed(1, finding(OTHER_TERM, 2), finding(grade=1)),
        toxicity_assessed(1, finding(OTHER_TERM, 2)),
        toxicity_assessed(1, finding(grade=1)),
        toxicity_assessed(1),
    ],
)
async def test_not_graded_reason_is_not_moved_to_another_term(toxicity: ToxicityDriver, restated: Fact) -> None:
    """A corrector without access to the text may replace its finding by other findings."""
    participant_id = await toxicity.enrolled_participant()
    ungraded = toxicity_assessed(1, finding(grade=None, not_graded="asleep"), finding(OTHER_TERM, 2))
    first = await toxicity.record("sam", participant_id, ungraded)
    await toxicity.record("ivan", participant_id, correction(first.event_ids[0], restated))
    async with toxicity.store.unit(Tenant(STUDY)) as unit:
        corrected = (await unit.load_stream(participant_id)).events[-1]
        opened_by = text_opener(VAULT, await unit.data_key(participant_id))
    assert dict(opened_by(corrected)) == {}
