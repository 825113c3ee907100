"""What every store must do for a service whose participants are registered elsewhere.

A test module subclasses `ElsewhereContract` and gives the fixtures `store`, `tell` (what enrollment published arrives)
and `study_id`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from shared.contracts.event import Event
from shared.eventstore.store import Append, Head, Recalled, Store, StreamMoved, StudyMoved
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.security.tenancy import Tenant
from shared.testing.appends import AT, event, keep, seen
from shared.testing.facts import enrolled, opened, protocol, screened, site_activated, transferred

Tell = Callable[[Sequence[Event]], Awaitable[None]]


def published(study_id: str, stream_id: str, facts: Sequence[Fact], start: int = 1) -> list[Event]:
    """Facts as enrollment's events of that stream, from version `start` on."""
    site = None if stream_id == study_id else "rome"
    return [
        replace(
            event(study_id, stream_id, version, site=site),
            type=fact.type_name, schema_version=fact.schema_version, data=fact.model_dump_json(), recorded_at=AT,
        )
        for version, fact in enumerate(facts, start)
    ]  # fmt: skip


def stating(study_id: str, participant: str, expected: int, known: int, *, study_version: int = 2) -> Append:
    """One more fact of that participant, decided by what was known at these versions."""
    head = Head(expected + 1, "rome", known=known)
    return Append(expected, study_version, head, [event(study_id, participant, expected + 1, site="rome")])


class ElsewhereContract:
    @pytest.fixture
    async def study(self, tell: Tell, study_id: str) -> str:
        """A study whose stream is known up to version 2."""
        await tell(published(study_id, study_id, [opened(protocol()), site_activated("rome")]))
        return study_id

    @pytest.fixture
    async def participant(self, tell: Tell, study: str) -> str:
        """Known up to version 2, at one site."""
        participant = new_participant_id()
        await tell(published(study, participant, [screened(), enrolled()]))
        return participant

    async def test_a_participant_is_known_before_there_is_a_fact(
        self, store: Store, study: str, participant: str
    ) -> None:
        recalled = await seen(store, Tenant(study, "rome"), participant)
        assert (recalled.study_version, recalled.head, recalled.events) == (2, Head(0, "rome", known=2), ())
        assert recalled.elsewhere
        assert [each.fact for each in recalled.elsewhere.stated] == [screened(), enrolled()]

    async def test_who_is_not_known_or_another_sites_is_not_there(
        self, store: Store, study: str, participant: str
    ) -> None:
        assert await seen(store, Tenant(study), new_participant_id()) == Recalled(2, Head(), ())
        assert await seen(store, Tenant(study, "milan"), participant) == Recalled(2, Head(), ())

    async def test_a_fact_is_kept_where_nothing_has_moved_since(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, stating(study, participant, 0, 2), "rome")
        await keep(store, stating(study, participant, 1, 2), "rome")
        recalled = await seen(store, Tenant(study), participant)
        assert (recalled.head, len(recalled.events)) == (Head(2, "rome", known=2), 2)

    @pytest.mark.parametrize("known", [0, 1, 3])
    async def test_a_fact_decided_by_something_else_than_is_known_is_not_kept(
        self, store: Store, study: str, participant: str, known: int
    ) -> None:
        with pytest.raises(StreamMoved):
            await keep(store, stating(study, participant, 0, known), "rome")
        assert (await seen(store, Tenant(study), participant)).head == Head(0, "rome", known=2)

    async def test_what_arrives_meanwhile_is_looked_at_first(
        self, store: Store, tell: Tell, study: str, participant: str
    ) -> None:
        await keep(store, stating(study, participant, 0, 2), "rome")
        await tell(published(study, participant, [enrolled(1)], 3))
        with pytest.raises(StreamMoved):
            await keep(store, stating(study, participant, 1, 2), "rome")
        await tell(published(study, study, [site_activated("milan")], 3))
        with pytest.raises(StudyMoved):
            await keep(store, stating(study, participant, 1, 3), "rome")
        await keep(store, stating(study, participant, 1, 3, study_version=3), "rome")

    async def test_who_goes_to_another_site_is_seen_there_alone_with_all_that_was_stated(
        self, store: Store, tell: Tell, study: str, participant: str
    ) -> None:
        await keep(store, stating(study, participant, 0, 2), "rome")
        await tell(published(study, participant, [transferred("milan")], 3))
        assert not (await seen(store, Tenant(study, "rome"), participant)).head.is_there
        recalled = await seen(store, Tenant(study, "milan"), participant)
        assert (recalled.head, len(recalled.events)) == (Head(1, "milan", known=3), 1)

    async def test_people_of_one_site_are_listed_before_there_is_a_fact(
        self, store: Store, study: str, participant: str
    ) -> None:
        asked = {"site": None, "status": None, "search_key": None, "after": "", "limit": 10}
        for site, found in (("rome", [(participant, Head(0, "rome", known=2))]), ("milan", [])):
            async with store.unit(Tenant(study, site)) as unit:
                assert await unit.listing(**asked) == found  # type: ignore[arg-type] # one dict of several types
