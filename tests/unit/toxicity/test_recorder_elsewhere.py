"""The command path of a service whose studies, grants and participants come from enrollment: toxicity's, in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.toxicity import assessment
from services.toxicity.gate import World
from shared.eventstore.memory import MemoryStore
from shared.eventstore.recorder import Recorder
from shared.eventstore.sealing import opener
from shared.eventstore.statement import Recording, Statement
from shared.inbox.registry.judgement import RegisteredElsewhere
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.kernel.refusal import Fault, NotKnownYet, NotYourRole, Refusal, Unacceptable
from shared.security.event_key import EventKey
from shared.security.tenancy import Tenant
from shared.security.vault import KeyEncryptionKey, Vault
from shared.testing.elsewhere import Heard
from shared.testing.elsewhere_contract import published
from shared.testing.facts import (
    ON_STUDY,
    course,
    granted,
    opened,
    protocol,
    revoked,
    site_activated,
    study_closed,
    transferred,
    voided,
    withdrawn,
)
from shared.testing.toxicity_facts import assessed, correction, due_to, finding

STUDY = "atc-rt"
CLOCK = Clock({"": date(2025, 3, 7)}, lambda: datetime(2025, 3, 7, 12, 30, tzinfo=UTC))
VAULT = Vault(KeyEncryptionKey(bytes(range(32))))
OPENING = (
    opened(protocol()), site_activated("rome"), site_activated("milan"), granted("sam", "site", "rome"),
    granted("mia", "site", "milan"), granted("rita", "reader"), granted("carl", "coordinator"),
    granted("ivan", "investigator"),
)  # fmt: skip


class Toxicity:
    """The service, and what enrollment has told it."""

    def __init__(self) -> None:
        store, vault = MemoryStore("toxicity"), VAULT
        judgement = RegisteredElsewhere(CLOCK, assessment.objections, World)
        self.store, self.heard = store, Heard(store)
        self.recorder = Recorder(
            store, self.heard, {False: judgement}, vault, CLOCK, EventKey(bytes(32)), registers=False
        )
        self.told: dict[str, int] = {}

    async def tell(self, stream: str, *facts: Fact) -> int:
        """The version up to which the stream is known now."""
        start = self.told.get(stream, 0) + 1
        self.told[stream] = start + len(facts) - 1
        await self.heard.tell(published(STUDY, stream, facts, start))
        return self.told[stream]

    async def somebody(self, *more: Fact) -> str:
        number = new_participant_id()
        await self.tell(number, *ON_STUDY, *more)
        return number

    async def state(self, by: str, number: str, *facts: Fact, **said: Any) -> Recording:
        pointers = tuple(f"/{place}/data" for place in range(len(facts))) if len(facts) > 1 else ("",)
        return await self.recorder.record(Statement(STUDY, number, facts, pointers, by, **said))

    async def refusal(self, by: str, number: str, *facts: Fact, **said: Any) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.state(by, number, *facts, **said)
        return refused.value


@pytest.fixture
async def toxicity() -> Toxicity:
    service = Toxicity()
    await service.tell(STUDY, *OPENING)
    return service


async def test_a_fact_of_somebody_known_is_recorded_with_what_it_was_judged_by(toxicity: Toxicity) -> None:
    number = await toxicity.somebody()
    assert (await toxicity.state("sam", number, assessed())).version == 1
    assert (await toxicity.state("sam", number, assessed(3))).version == 2
    async with toxicity.store.unit(Tenant(STUDY)) as unit:
        events = (await unit.recall(number)).events
    assert [event.meta["judged_by"] for event in events] == [{"study_version": 8, "enrollment_version": 3}] * 2
    assert {event.site_id for event in events} == {"rome"}


async def test_what_is_not_known_may_be_on_its_way_and_another_sites_people_are_told_apart_by_nothing(
    toxicity: Toxicity,
) -> None:
    here, nobody = await toxicity.somebody(), new_participant_id()
    refusals = [
        await toxicity.refusal("mia", here, assessed()),
        await toxicity.refusal("mia", nobody, assessed()),
        await toxicity.refusal("somebody else", here, assessed()),
        await Toxicity().refusal("sam", here, assessed()),
    ]
    assert {(type(each), each.title, each.faults) for each in refusals} == {(NotKnownYet, NotKnownYet.title, ())}


async def test_a_role_that_does_not_state_such_facts_is_told_so(toxicity: Toxicity) -> None:
    assert isinstance(await toxicity.refusal("rita", await toxicity.somebody(), assessed()), NotYourRole)


async def test_a_course_that_is_not_known_may_be_on_its_way_unless_the_statement_says_what_it_comes_after(
    toxicity: Toxicity,
) -> None:
    number = await toxicity.somebody()
    graded = assessed(0, finding(attribution=due_to("course:RT1")), course_id="RT1")
    early = await toxicity.refusal("sam", number, graded)
    assert isinstance(early, NotKnownYet)
    pointers = ["/course_id", "/findings/0/attribution/0/to"]
    assert sorted(fault.pointer for fault in early.faults) == pointers
    never = await toxicity.refusal("sam", number, graded, after=3)
    assert isinstance(never, Unacceptable)
    assert sorted(fault.pointer for fault in never.faults) == pointers
    await toxicity.tell(number, course())
    assert (await toxicity.state("sam", number, graded)).version == 1


async def test_what_no_waiting_mends_is_refused_at_once_with_everything_else(toxicity: Toxicity) -> None:
    graded = assessed(0, finding("3.0:0699", 1), course_id="RT1")
    refusal = await toxicity.refusal("sam", await toxicity.somebody(), graded)
    assert isinstance(refusal, Unacceptable)
    assert {fault.code for fault in refusal.faults} == {"no-such-course", "no-such-grade"}


async def test_a_statement_waits_for_what_it_comes_after(toxicity: Toxicity) -> None:
    number = await toxicity.somebody()
    graded = assessed(0, course_id="RT1")
    waiting = asyncio.create_task(toxicity.state("sam", number, graded, after=4))
    await asyncio.sleep(0)
    assert not waiting.done()
    await toxicity.tell(number, course())
    assert (await waiting).version == 1
    assert isinstance(await toxicity.refusal("sam", number, graded, after=5), NotKnownYet)


@pytest.mark.parametrize(
    ("door", "code"),
    [
        (withdrawn(5), "after-withdrawal"),
        (withdrawn(5, "data_use"), "after-withdrawal"),
        (voided(), "participant-voided"),
    ],
)
async def test_a_door_that_is_closed_in_enrollment_is_closed_here(toxicity: Toxicity, door: Fact, code: str) -> None:
    number = await toxicity.somebody()
    before = await toxicity.state("sam", number, assessed(3))
    await toxicity.tell(number, door)
    refusal = await toxicity.refusal("sam", number, assessed(6))
    assert isinstance(refusal, Unacceptable)
    assert [fault.code for fault in refusal.faults] == [code]
    mended = correction(before.event_ids[0], assessed(2))
    assert (await toxicity.state("sam", number, mended)).version == 2
    assert (await toxicity.state("sam", number, correction(before.event_ids[0], None))).version == 3


async def test_after_a_study_is_closed_nothing_later_is_stated(toxicity: Toxicity) -> None:
    number = await toxicity.somebody()
    await toxicity.tell(STUDY, study_closed(5))
    assert [fault.code for fault in (await toxicity.refusal("sam", number, assessed(6))).faults] == ["study-closed"]
    assert (await toxicity.state("sam", number, assessed(5))).version == 1


async def test_who_was_transferred_is_seen_and_stated_of_at_the_new_site_alone(toxicity: Toxicity) -> None:
    number = await toxicity.somebody()
    await toxicity.state("sam", number, assessed())
    await toxicity.tell(number, transferred("milan"))
    assert isinstance(await toxicity.refusal("sam", number, assessed(1)), NotKnownYet)
    assert (await toxicity.state("mia", number, assessed(2))).version == 2


async def test_a_revoked_grant_holds_as_soon_as_it_is_known(toxicity: Toxicity) -> None:
    number = await toxicity.somebody()
    await toxicity.state("sam", number, assessed())
    await toxicity.tell(STUDY, revoked("sam", "site", "rome"))
    assert isinstance(await toxicity.refusal("sam", number, assessed(1)), NotKnownYet)


async def test_nobody_was_born_after_what_is_stated_of_them(toxicity: Toxicity) -> None:
    refusal = await toxicity.refusal("sam", await toxicity.somebody(), assessed("1946"))
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
        assessed(1, finding(OTHER_TERM, 2), finding(grade=1)),
        assessed(1, finding(OTHER_TERM, 2)),
        assessed(1, finding(grade=1)),
        assessed(1),
    ],
)
async def test_the_reason_why_one_term_was_not_graded_is_never_given_to_another(
    toxicity: Toxicity, restated: Fact
) -> None:
    """Who corrects was not shown it, and may put other findings where that one was."""
    number = await toxicity.somebody()
    ungraded = assessed(1, finding(grade=None, not_graded="asleep"), finding(OTHER_TERM, 2))
    first = await toxicity.state("sam", number, ungraded)
    await toxicity.state("ivan", number, correction(first.event_ids[0], restated))
    async with toxicity.store.unit(Tenant(STUDY)) as unit:
        mended = (await unit.recall(number)).events[-1]
        opened_by = opener(VAULT, await unit.data_key(number))
    assert dict(opened_by(mended)) == {}
