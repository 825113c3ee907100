"""Contract of stores for a service whose participants another service registers.

A test class derives from `ForeignParticipantContract` and has the fixtures `store`, `replicate` (applies published
events) and `study_id`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from shared.contracts.event import Event
from shared.eventstore.store import (
    AppendRequest,
    LoadedStream,
    Store,
    StreamHead,
    StreamVersionConflict,
    StudyVersionConflict,
)
from shared.kernel.ids import new_participant_id
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import append_in_unit, build_event, load_stream
from shared.testing.builders.events import enrollment_events
from shared.testing.builders.facts import (
    participant_enrolled,
    participant_screened,
    participant_transferred,
    protocol,
    site_activated,
    study_opened,
)

Replicate = Callable[[Sequence[Event]], Awaitable[None]]


def append_of_one_fact(
    study_id: str, participant: str, expected: int, enrollment_version: int, *, study_version: int = 2
) -> AppendRequest:
    """Returns a request to append one fact, decided at these versions of the study and of enrollment."""
    head = StreamHead(expected + 1, "rome", enrollment_version=enrollment_version)
    return AppendRequest(expected, study_version, head, [build_event(study_id, participant, expected + 1, site="rome")])


class ForeignParticipantContract:
    @pytest.fixture
    async def study(self, replicate: Replicate, study_id: str) -> str:
        """A study with two replicated events."""
        await replicate(enrollment_events(study_id, study_id, [study_opened(protocol()), site_activated("rome")]))
        return study_id

    @pytest.fixture
    async def participant(self, replicate: Replicate, study: str) -> str:
        """A participant at Rome with two replicated events."""
        participant = new_participant_id()
        await replicate(enrollment_events(study, participant, [participant_screened(), participant_enrolled()]))
        return participant

    async def test_a_participant_is_known_before_there_is_a_fact(
        self, store: Store, study: str, participant: str
    ) -> None:
        loaded_stream = await load_stream(store, Tenant(study, "rome"), participant)
        assert (loaded_stream.study_version, loaded_stream.head, loaded_stream.events) == (
            2,
            StreamHead(0, "rome", enrollment_version=2),
            (),
        )
        assert loaded_stream.foreign_facts
        assert [stated_fact.fact for stated_fact in loaded_stream.foreign_facts.stated_facts] == [
            participant_screened(),
            participant_enrolled(),
        ]

    async def test_unknown_participant_and_one_of_another_site_are_absent(
        self, store: Store, study: str, participant: str
    ) -> None:
        assert await load_stream(store, Tenant(study), new_participant_id()) == LoadedStream(2, StreamHead(), ())
        assert await load_stream(store, Tenant(study, "milan"), participant) == LoadedStream(2, StreamHead(), ())

    async def test_a_fact_is_kept_where_nothing_has_moved_since(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(store, append_of_one_fact(study, participant, 0, 2), "rome")
        await append_in_unit(store, append_of_one_fact(study, participant, 1, 2), "rome")
        loaded_stream = await load_stream(store, Tenant(study), participant)
        assert (loaded_stream.head, len(loaded_stream.events)) == (StreamHead(2, "rome", enrollment_version=2), 2)

    @pytest.mark.parametrize("enrollment_version", [0, 1, 3])
    async def test_append_decided_on_another_enrollment_version_conflicts(
        self, store: Store, study: str, participant: str, enrollment_version: int
    ) -> None:
        with pytest.raises(StreamVersionConflict):
            await append_in_unit(store, append_of_one_fact(study, participant, 0, enrollment_version), "rome")
        assert (await load_stream(store, Tenant(study), participant)).head == StreamHead(
            0, "rome", enrollment_version=2
        )

    async def test_append_conflicts_with_events_that_arrived_meanwhile(
        self, store: Store, replicate: Replicate, study: str, participant: str
    ) -> None:
        await append_in_unit(store, append_of_one_fact(study, participant, 0, 2), "rome")
        await replicate(enrollment_events(study, participant, [participant_enrolled(1)], 3))
        with pytest.raises(StreamVersionConflict):
            await append_in_unit(store, append_of_one_fact(study, participant, 1, 2), "rome")
        await replicate(enrollment_events(study, study, [site_activated("milan")], 3))
        with pytest.raises(StudyVersionConflict):
            await append_in_unit(store, append_of_one_fact(study, participant, 1, 3), "rome")
        await append_in_unit(store, append_of_one_fact(study, participant, 1, 3, study_version=3), "rome")

    async def test_transferred_participant_is_visible_at_the_new_site_only(
        self, store: Store, replicate: Replicate, study: str, participant: str
    ) -> None:
        await append_in_unit(store, append_of_one_fact(study, participant, 0, 2), "rome")
        await replicate(enrollment_events(study, participant, [participant_transferred("milan")], 3))
        assert not (await load_stream(store, Tenant(study, "rome"), participant)).head.exists
        loaded_stream = await load_stream(store, Tenant(study, "milan"), participant)
        assert (loaded_stream.head, len(loaded_stream.events)) == (StreamHead(1, "milan", enrollment_version=3), 1)

    async def test_participants_are_listed_before_their_first_fact(
        self, store: Store, study: str, participant: str
    ) -> None:
        for site, expected in (("rome", [(participant, StreamHead(0, "rome", enrollment_version=2))]), ("milan", [])):
            async with store.unit(Tenant(study, site)) as unit:
                listed = await unit.list_streams(site=None, status=None, search_key=None, after="", limit=10)
                assert listed == expected
