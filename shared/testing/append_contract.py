"""Contract of stores about appends: versions, units of work, and writers at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.eventstore.store import (
    AppendRequest,
    Conflict,
    IdempotencyKeyConflict,
    LoadedStream,
    SearchKeyConflict,
    Store,
    StreamHead,
    StreamVersionConflict,
    StudyVersionConflict,
)
from shared.kernel.ids import new_participant_id
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import (
    RollbackRequested,
    append_and_roll_back,
    append_in_unit,
    build_append,
    build_event,
    build_outcome,
    comparable_event,
    load_stream,
)


class AppendContract:
    """An append is kept whole at the version it was decided on, or refused."""

    async def test_appended_events_are_loaded_unchanged(self, store: Store, study: str, participant: str) -> None:
        events = [build_event(study, participant, 1, sealed=b"\x00sealed"), build_event(study, participant, 2)]
        head = StreamHead(2, "S1", b"key", {"status": "enrolled"})
        await append_in_unit(store, AppendRequest(0, 1, head, events, data_key=b"wrapped"))
        loaded_stream = await load_stream(store, Tenant(study), participant)
        assert (loaded_stream.study_version, loaded_stream.head, loaded_stream.outcome) == (1, head, None)
        assert [comparable_event(event) for event in loaded_stream.events] == [
            comparable_event(event) for event in events
        ]
        async with store.unit(Tenant(study)) as unit:
            assert await unit.data_key(participant) == b"wrapped"

    async def test_unknown_stream_loads_as_empty(self, store: Store, study: str, participant: str) -> None:
        loaded_stream = await load_stream(store, Tenant(study), participant)
        assert loaded_stream == LoadedStream(1, StreamHead(), ())
        async with store.unit(Tenant(study)) as unit:
            assert await unit.data_key(participant) is None

    async def test_a_study_that_is_not_there_has_version_0(self, store: Store, study_id: str) -> None:
        assert await load_stream(store, Tenant(study_id), study_id) == LoadedStream(0, StreamHead(), ())

    async def test_an_append_at_another_version_is_refused(self, store: Store, study: str, participant: str) -> None:
        await append_in_unit(store, build_append(study, participant))
        for expected in (0, 2, 7):
            with pytest.raises(StreamVersionConflict):
                await append_in_unit(store, build_append(study, participant, expected))
        assert (await load_stream(store, Tenant(study), participant)).head.version == 1

    async def test_a_new_stream_cannot_begin_in_the_middle(self, store: Store, study: str, participant: str) -> None:
        with pytest.raises(StreamVersionConflict):
            await append_in_unit(store, build_append(study, participant, 1))

    async def test_an_append_decided_by_another_version_of_the_study_is_refused(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(store, build_append(study, study, 1))
        for version in (1, 3):
            with pytest.raises(StudyVersionConflict):
                await append_in_unit(store, build_append(study, participant, study_version=version))
        await append_in_unit(store, build_append(study, participant, study_version=2))

    async def test_versions_have_no_gap(self, store: Store, study: str, participant: str) -> None:
        for expected, count in ((0, 1), (1, 3), (4, 2)):
            await append_in_unit(store, build_append(study, participant, expected, count=count))
        loaded_stream = await load_stream(store, Tenant(study), participant)
        assert [event.version for event in loaded_stream.events] == [1, 2, 3, 4, 5, 6]
        assert loaded_stream.head.version == 6

    async def test_a_batch_is_kept_whole_or_not_at_all(self, store: Store, study: str, participant: str) -> None:
        await append_in_unit(store, build_append(study, participant))
        with pytest.raises(StreamVersionConflict):
            await append_in_unit(
                store, build_append(study, participant, count=3, key="k", outcome=build_outcome("first"))
            )
        loaded_stream = await load_stream(store, Tenant(study), participant, key="k")
        assert (loaded_stream.head.version, loaded_stream.outcome) == (1, None)

    async def test_a_unit_that_is_left_by_an_exception_leaves_nothing(
        self, store: Store, study: str, participant: str
    ) -> None:
        proposal = build_append(
            study, participant, key="k", outcome=build_outcome("first"), data_key=b"wrapped", search_key=b"r"
        )
        with pytest.raises(RollbackRequested):
            await append_and_roll_back(store, proposal)
        assert await load_stream(store, Tenant(study), participant, key="k") == LoadedStream(1, StreamHead(), ())
        await append_in_unit(store, proposal)
        assert (await load_stream(store, Tenant(study), participant, key="k")).outcome == build_outcome("first")

    async def test_an_append_alone_is_kept_and_refused_as_one_in_a_unit(
        self, store: Store, study: str, participant: str
    ) -> None:
        proposal = build_append(study, participant, key="k", key_site="S1", outcome=build_outcome("first"))
        await store.append(Tenant(study, "S1"), proposal)
        loaded_stream = await load_stream(store, Tenant(study, "S1"), participant, key="k", key_site="S1")
        assert (loaded_stream.head.version, loaded_stream.outcome) == (1, build_outcome("first"))
        with pytest.raises(IdempotencyKeyConflict):
            await store.append(Tenant(study, "S1"), proposal)
        for tenant, expected in ((Tenant(study, "S1"), 0), (Tenant(study, "S2"), 1)):
            with pytest.raises(StreamVersionConflict):
                await store.append(tenant, build_append(study, participant, expected))
        assert (await load_stream(store, Tenant(study), participant)).head.version == 1

    async def test_concurrent_appends_succeed_or_fail_independently(self, store: Store, study: str) -> None:
        names = sorted(new_participant_id() for _ in range(24))
        tenants = [Tenant(study, f"S{index % 3}") for index in range(24)]
        refusals: dict[int, tuple[type[Exception], dict[str, Any]]] = {
            3: (StreamVersionConflict, {"expected": 4}),
            7: (StudyVersionConflict, {"study_version": 9}),
            11: (IdempotencyKeyConflict, {"key": "k0"}),
            15: (SearchKeyConflict, {"search_key": b"r0"}),
        }
        proposals = []
        for index, name in enumerate(names):
            arguments: dict[str, Any] = {"key": f"k{index}", "search_key": b"r%d" % index} | (
                refusals[index][1] if index in refusals else {}
            )
            site = "S0" if index in (11, 15) else str(tenants[index].site_id)
            arguments |= {"outcome": build_outcome(name), "key_site": site, "site": site}
            proposals.append((Tenant(study, site), build_append(study, name, **arguments)))
        first, rest = proposals[0], proposals[1:]
        await store.append(*first)
        results = await asyncio.gather(*(store.append(*arguments) for arguments in rest), return_exceptions=True)
        expected = [refusals[index][0] if index in refusals else type(None) for index in range(1, 24)]
        assert [type(result) for result in results] == expected
        appended_names = [name for index, name in enumerate(names) if index not in refusals]
        async with store.unit(Tenant(study)) as unit:
            heads = await unit.list_streams(site=None, status=None, search_key=None, after="", limit=99)
        assert [(name, head.version) for name, head in heads] == [(name, 1) for name in appended_names]

    async def test_cancelled_caller_does_not_affect_other_appends(self, store: Store, study: str) -> None:
        names = [new_participant_id() for _ in range(12)]
        tasks = [asyncio.create_task(store.append(Tenant(study, "S1"), build_append(study, name))) for name in names]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result for index, result in enumerate(results) if index % 3] == [None] * 8
        for index, name in enumerate(names):
            if index % 3:
                assert (await load_stream(store, Tenant(study), name)).head.version == 1

    async def test_one_of_two_simultaneous_appends_wins(self, store: Store, study: str, participant: str) -> None:
        outcomes = await asyncio.gather(
            *(append_in_unit(store, build_append(study, participant)) for _ in range(2)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes if outcome] == [StreamVersionConflict]
        assert (await load_stream(store, Tenant(study), participant)).head.version == 1

    async def test_many_writers_of_one_stream_each_get_a_version(
        self, store: Store, study: str, participant: str
    ) -> None:
        async def write() -> None:
            while True:
                version = (await load_stream(store, Tenant(study), participant)).head.version
                try:
                    return await append_in_unit(store, build_append(study, participant, version))
                except Conflict:
                    continue

        async with asyncio.timeout(30):
            await asyncio.gather(*(write() for _ in range(8)))
        loaded_stream = await load_stream(store, Tenant(study), participant)
        assert [event.version for event in loaded_stream.events] == [*range(1, 9)]
