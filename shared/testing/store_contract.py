"""Contract of every store. A test module subclasses `StoreContract` and gives the fixtures `store` and `study_id`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.store import (
    AppendRequest,
    Conflict,
    IdempotencyKeyConflict,
    IdempotentResult,
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


async def read_events_after(
    store: Store, tenant: Tenant, cursor: FeedCursor, limit: int = 9
) -> tuple[FeedCursor, list[tuple[str, int]]]:
    """Everything behind the cursor that the tenant stated, or may see, page by page; and the cursor after it."""
    stream_versions: list[tuple[str, int]] = []
    sites = None if tenant.site_id == "*" else [tenant.site_id]
    while True:
        async with store.unit(tenant) as unit:
            snapshot = await unit.current_snapshot(cursor.latest)
            assert snapshot.follows_previous
            cursor = cursor.in_backlog(snapshot.text, snapshot.database)
            page = await unit.list_recorded_events(cursor, sites=sites, limit=limit)
        stream_versions += [(event.stream_id, event.version) for _, event in page]
        if len(page) < limit:
            return cursor.at_end(), stream_versions
        cursor = cursor.after_row(page[-1][0])


class StoreContract:
    @pytest.fixture
    def participant(self) -> str:
        return new_participant_id()

    @pytest.fixture
    async def study(self, store: Store, study_id: str) -> str:
        """A study that is open: its own stream is at version 1."""
        await append_in_unit(store, build_append(study_id, study_id))
        return study_id

    async def test_appended_events_are_loaded_unchanged(self, store: Store, study: str, participant: str) -> None:
        events = [build_event(study, participant, 1, sealed=b"\x00sealed"), build_event(study, participant, 2)]
        head = StreamHead(2, "S1", b"key", {"status": "enrolled"})
        await append_in_unit(store, AppendRequest(0, 1, head, events, data_key=b"wrapped"))
        recalled = await load_stream(store, Tenant(study), participant)
        assert (recalled.study_version, recalled.head, recalled.outcome) == (1, head, None)
        assert [comparable_event(each) for each in recalled.events] == [comparable_event(each) for each in events]
        async with store.unit(Tenant(study)) as unit:
            assert await unit.data_key(participant) == b"wrapped"

    async def test_unknown_stream_loads_as_empty(self, store: Store, study: str, participant: str) -> None:
        recalled = await load_stream(store, Tenant(study), participant)
        assert recalled == LoadedStream(1, StreamHead(), ())
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
        recalled = await load_stream(store, Tenant(study), participant)
        assert [each.version for each in recalled.events] == [1, 2, 3, 4, 5, 6]
        assert recalled.head.version == 6

    async def test_a_batch_is_kept_whole_or_not_at_all(self, store: Store, study: str, participant: str) -> None:
        await append_in_unit(store, build_append(study, participant))
        with pytest.raises(StreamVersionConflict):
            await append_in_unit(
                store, build_append(study, participant, count=3, key="k", outcome=build_outcome("first"))
            )
        recalled = await load_stream(store, Tenant(study), participant, key="k")
        assert (recalled.head.version, recalled.outcome) == (1, None)

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
        recalled = await load_stream(store, Tenant(study, "S1"), participant, key="k", key_site="S1")
        assert (recalled.head.version, recalled.outcome) == (1, build_outcome("first"))
        with pytest.raises(IdempotencyKeyConflict):
            await store.append(Tenant(study, "S1"), proposal)
        for tenant, expected in ((Tenant(study, "S1"), 0), (Tenant(study, "S2"), 1)):
            with pytest.raises(StreamVersionConflict):
                await store.append(tenant, build_append(study, participant, expected))
        assert (await load_stream(store, Tenant(study), participant)).head.version == 1

    async def test_a_key_that_was_stored_in_clear_is_found_and_taken(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(
            store, build_append(study, participant, key="k", key_site="S1", outcome=build_outcome("first"))
        )
        keys: dict[str, Any] = {"key": "hmac 1", "clear_key": "k", "key_site": "S1"}
        assert (await load_stream(store, Tenant(study, "S1"), participant, **keys)).outcome == build_outcome("first")
        second_append = build_append(study, participant, 1, outcome=build_outcome("second"), **keys)
        for attempt in (append_in_unit(store, second_append), store.append(Tenant(study, "S1"), second_append)):
            with pytest.raises(IdempotencyKeyConflict):
                await attempt
        await append_in_unit(
            store, build_append(study, participant, 1, outcome=build_outcome("third"), **{**keys, "clear_key": "other"})
        )
        assert (await load_stream(store, Tenant(study), participant, key="hmac 1")).outcome == build_outcome("third")
        assert (await load_stream(store, Tenant(study), participant)).outcome is None

    async def test_a_search_key_that_yields_is_left_out_where_another_stream_has_it(
        self, store: Store, study: str
    ) -> None:
        first, second = sorted(new_participant_id() for _ in range(2))
        await append_in_unit(store, build_append(study, first, search_key=b"r"))
        await append_in_unit(store, build_append(study, second))
        with pytest.raises(SearchKeyConflict):
            await append_in_unit(store, build_append(study, second, 1, search_key=b"r"))
        await append_in_unit(store, build_append(study, second, 1, search_key=b"r", drops_search_key_if_taken=True))
        await append_in_unit(store, build_append(study, first, 1, search_key=b"r", drops_search_key_if_taken=True))
        await append_in_unit(store, build_append(study, second, 2, search_key=b"free", drops_search_key_if_taken=True))
        search_keys = [(await load_stream(store, Tenant(study), name)).head.search_key for name in (first, second)]
        assert search_keys == [b"r", b"free"]

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
        results = await asyncio.gather(*(store.append(*each) for each in rest), return_exceptions=True)
        expected = [refusals[index][0] if index in refusals else type(None) for index in range(1, 24)]
        assert [type(each) for each in results] == expected
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
        assert [each for index, each in enumerate(results) if index % 3] == [None] * 8
        for index, name in enumerate(names):
            if index % 3:
                assert (await load_stream(store, Tenant(study), name)).head.version == 1

    async def test_concurrent_transfer_gives_no_access_to_other_appends(self, store: Store, study: str) -> None:
        moved_participant, other_participants = new_participant_id(), [new_participant_id() for _ in range(6)]
        for name, site in ((moved_participant, "S1"), *((name, "S2") for name in other_participants)):
            await store.append(Tenant(study, site), build_append(study, name, site=site))
        first_site = Tenant(study, "S1")
        attempts = [store.append(first_site, build_append(study, moved_participant, 1, site="S2"))]
        attempts += [store.append(first_site, build_append(study, name, 1, site="S1")) for name in other_participants]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        assert [type(each) for each in results] == [type(None), *[StreamVersionConflict] * 6]
        versions = [
            (await load_stream(store, Tenant(study, "S2"), name)).head.version
            for name in (moved_participant, *other_participants)
        ]
        assert versions == [2, 1, 1, 1, 1, 1, 1]

    async def test_an_outcome_is_recalled_by_its_key_at_the_site_or_in_the_stream(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(
            store, build_append(study, participant, key="k", key_site="S1", outcome=build_outcome("first"))
        )
        elsewhere = new_participant_id()
        for stream_id, site, expected in (
            (participant, "S1", build_outcome("first")),
            (participant, "S2", build_outcome("first")),
            (elsewhere, "S1", build_outcome("first")),
            (elsewhere, "S2", None),
            (elsewhere, "*", None),
        ):
            recalled = await load_stream(store, Tenant(study), stream_id, key="k", key_site=site)
            assert recalled.outcome == expected, (stream_id, site)
        assert (await load_stream(store, Tenant(study), participant, key="other", key_site="S1")).outcome is None

    async def test_a_key_serves_once_per_site(self, store: Store, study: str) -> None:
        first, second, third = (new_participant_id() for _ in range(3))
        await append_in_unit(store, build_append(study, first, key="k", key_site="S1", outcome=build_outcome("first")))
        with pytest.raises(IdempotencyKeyConflict):
            await append_in_unit(
                store, build_append(study, second, key="k", key_site="S1", outcome=build_outcome("second"))
            )
        await append_in_unit(
            store, build_append(study, third, site="S2", key="k", key_site="S2", outcome=build_outcome("third"))
        )
        assert (await load_stream(store, Tenant(study), second, key="k", key_site="S1")).outcome == build_outcome(
            "first"
        )
        assert (await load_stream(store, Tenant(study), third, key="k", key_site="S2")).outcome == build_outcome(
            "third"
        )

    async def test_one_of_two_simultaneous_appends_wins(self, store: Store, study: str, participant: str) -> None:
        outcomes = await asyncio.gather(
            *(append_in_unit(store, build_append(study, participant)) for _ in range(2)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes if outcome] == [StreamVersionConflict]
        assert (await load_stream(store, Tenant(study), participant)).head.version == 1

    async def test_concurrent_requests_with_one_key_get_the_first_outcome(self, store: Store, study: str) -> None:
        async def request(name: str) -> IdempotentResult | None:
            stream_id = new_participant_id()
            proposal = build_append(study, stream_id, key="k", key_site="S1", outcome=build_outcome(name))
            try:
                await append_in_unit(store, proposal)
            except IdempotencyKeyConflict:
                return (await load_stream(store, Tenant(study), stream_id, key="k", key_site="S1")).outcome
            return proposal.outcome

        outcomes = await asyncio.gather(*(request(name) for name in "ab"))
        assert outcomes[0] == outcomes[1] is not None
        async with store.unit(Tenant(study)) as unit:
            assert len(await unit.list_streams(site=None, status=None, search_key=None, after="", limit=9)) == 1

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
        recalled = await load_stream(store, Tenant(study), participant)
        assert [each.version for each in recalled.events] == [*range(1, 9)]

    async def test_a_search_key_is_one_participants_at_its_site(self, store: Store, study: str) -> None:
        first, second, third = (new_participant_id() for _ in range(3))
        await append_in_unit(store, build_append(study, first, search_key=b"r"))
        with pytest.raises(SearchKeyConflict):
            await append_in_unit(store, build_append(study, second, search_key=b"r"))
        await append_in_unit(store, build_append(study, third, site="S2", search_key=b"r"))
        await append_in_unit(store, build_append(study, first, 1, search_key=b"r"))
        assert (await load_stream(store, Tenant(study), second)).head.version == 0

    async def test_a_search_key_that_is_given_up_can_be_used_again(self, store: Store, study: str) -> None:
        first, second = new_participant_id(), new_participant_id()
        await append_in_unit(store, build_append(study, first, search_key=b"r"))
        await append_in_unit(store, build_append(study, first, 1, search_key=None))
        await append_in_unit(store, build_append(study, second, search_key=b"r"))
        with pytest.raises(SearchKeyConflict):
            await append_in_unit(store, build_append(study, first, 2, search_key=b"r"))

    async def test_another_site_sees_nothing_of_a_participant(self, store: Store, study: str, participant: str) -> None:
        await append_in_unit(
            store,
            build_append(study, participant, data_key=b"w", key="k", key_site="S1", outcome=build_outcome("first")),
        )
        other = Tenant(study, "S2")
        assert await load_stream(store, other, participant, key="k", key_site="S1") == LoadedStream(1, StreamHead(), ())
        async with store.unit(other) as unit:
            assert await unit.data_key(participant) is None
            assert await unit.list_streams(site=None, status=None, search_key=None, after="", limit=9) == []
            assert await unit.list_events(sites=["S1", "S2"], after=("", 0), limit=9) == []
        assert (await load_stream(store, Tenant(study, "S1"), participant)).head.version == 1

    async def test_another_site_cannot_append_to_a_participant(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(store, build_append(study, participant))
        with pytest.raises(StreamVersionConflict):
            await append_in_unit(store, build_append(study, participant, 1), "S2")
        assert (await load_stream(store, Tenant(study), participant)).head.version == 1

    async def test_a_site_hands_a_participant_over_and_sees_it_no_more(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(store, build_append(study, participant), "S1")
        await append_in_unit(store, build_append(study, participant, 1, site="S2"), "S1")
        assert (await load_stream(store, Tenant(study, "S1"), participant)).head.version == 0
        assert (await load_stream(store, Tenant(study, "S2"), participant)).head.version == 2

    async def test_another_study_sees_nothing(self, store: Store, study: str, participant: str) -> None:
        await append_in_unit(store, build_append(study, participant, key="k", outcome=build_outcome("first")))
        other = Tenant(f"{study}-b")
        assert await load_stream(store, other, participant, key="k") == LoadedStream(0, StreamHead(), ())
        assert await load_stream(store, other, study) == LoadedStream(0, StreamHead(), ())

    async def test_the_same_participant_number_in_two_studies_is_two_streams(
        self, store: Store, study: str, participant: str
    ) -> None:
        other = f"{study}-b"
        await append_in_unit(store, build_append(other, other))
        for owner in (study, other):
            await append_in_unit(store, build_append(owner, participant, count=2 if owner == study else 1))
        assert (await load_stream(store, Tenant(study), participant)).head.version == 2
        assert (await load_stream(store, Tenant(other), participant)).head.version == 1

    async def test_the_listing_goes_page_by_page_through_what_is_asked_for(self, store: Store, study: str) -> None:
        names = sorted(new_participant_id() for _ in range(5))
        for index, name in enumerate(names):
            status = "voided" if index == 2 else "enrolled"
            await append_in_unit(
                store,
                build_append(study, name, site="S2" if index == 4 else "S1", status=status, search_key=b"%d" % index),
            )
        everyone: dict[str, Any] = {"site": None, "status": None, "search_key": None}
        async with store.unit(Tenant(study)) as unit:
            first = await unit.list_streams(**everyone, after="", limit=3)
            rest = await unit.list_streams(**everyone, after=first[-1][0], limit=3)
            assert [name for name, _ in (*first, *rest)] == names
            assert first[0][1] == StreamHead(1, "S1", None, {"status": "enrolled"})
            for criterion, expected in (({"site": "S2"}, 4), ({"status": "voided"}, 2), ({"search_key": b"3"}, 3)):
                page = await unit.list_streams(**(everyone | criterion), after="", limit=9)
                assert [name for name, _ in page] == [names[expected]]

    async def test_the_feed_goes_page_by_page_through_the_events_of_sites(self, store: Store, study: str) -> None:
        names = sorted(new_participant_id() for _ in range(3))
        for name, site in zip(names, ("S1", "S2", "S1"), strict=True):
            await append_in_unit(store, build_append(study, name, count=2, site=site))
        stream_versions: list[tuple[str, int]] = []
        async with store.unit(Tenant(study)) as unit:
            while page := await unit.list_events(
                sites=["S1"], after=stream_versions[-1] if stream_versions else ("", 0), limit=3
            ):
                stream_versions += [(each.stream_id, each.version) for each in page]
            all_events = await unit.list_events(sites=["S1", "S2"], after=("", 0), limit=9)
        assert stream_versions == [(name, version) for name in (names[0], names[2]) for version in (1, 2)]
        assert len(all_events) == 6

    async def test_events_are_read_in_the_order_of_recording_from_a_cursor_on(self, store: Store, study: str) -> None:
        names = [new_participant_id() for _ in range(3)]
        for expected in (0, 2):
            for name in sorted(names, reverse=True):
                await append_in_unit(store, build_append(study, name, expected, count=2))
        cursor, first = await read_events_after(store, Tenant(study), FeedCursor(), limit=5)
        order = sorted(names, reverse=True)
        assert first == [(name, version) for half in ((1, 2), (3, 4)) for name in order for version in half]
        assert (await read_events_after(store, Tenant(study), cursor, limit=5))[1] == []
        await append_in_unit(store, build_append(study, names[0], 4))
        assert (await read_events_after(store, Tenant(study), cursor, limit=5))[1] == [(names[0], 5)]
        assert (await read_events_after(store, Tenant(f"{study}-b"), FeedCursor(), limit=5))[1] == []

    async def test_each_site_reads_what_it_stated_before_and_after_a_transfer(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(store, build_append(study, participant, count=2, data_key=b"w"), "S1")
        await append_in_unit(store, build_append(study, participant, 2, site="S2", stating_site="S1"), "S1")
        await append_in_unit(store, build_append(study, participant, 3, site="S2"), "S2")
        by_site = {
            site: (await read_events_after(store, Tenant(study, site), FeedCursor()))[1] for site in ("S1", "S2")
        }
        assert by_site == {"S1": [(participant, 1), (participant, 2), (participant, 3)], "S2": [(participant, 4)]}
        assert len((await read_events_after(store, Tenant(study), FeedCursor()))[1]) == 4
        async with store.unit(Tenant(study, "S1")) as unit:
            assert await unit.list_events(sites=["S1"], after=("", 0), limit=9) == []
            assert await unit.data_key(participant) is None
            assert await unit.list_streams(site=None, status=None, search_key=None, after="", limit=9) == []
            assert await unit.load_stream(participant) == LoadedStream(1, StreamHead(), ())

    @pytest.mark.parametrize("name", ["'; drop table events; --", "%", "\\", '"', "{app}", "a\nb", "' or true --"])
    async def test_a_name_that_looks_like_a_command_is_a_name(self, store: Store, study: str, name: str) -> None:
        await append_in_unit(store, build_append(study, name, key=name, key_site="S1", outcome=build_outcome(name)))
        recalled = await load_stream(store, Tenant(study), name, key=name, key_site="S1")
        assert (recalled.head.version, recalled.outcome) == (1, build_outcome(name))
        assert await load_stream(store, Tenant(name), study) == LoadedStream(0, StreamHead(), ())
