"""What every store must do. A test module subclasses `StoreContract` and gives the fixtures `store` and `study_id`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.store import (
    Append,
    Head,
    KeyTaken,
    Moved,
    Outcome,
    Recalled,
    SearchKeyTaken,
    Store,
    StreamMoved,
    StudyMoved,
)
from shared.kernel.ids import new_participant_id
from shared.security.tenancy import Tenant
from shared.testing.appends import Undone, answered, append, event, keep, keep_and_undo, seen, shown


async def recorded_after(
    store: Store, tenant: Tenant, cursor: FeedCursor, limit: int = 9
) -> tuple[FeedCursor, list[tuple[str, int]]]:
    """Everything behind the cursor that the tenant stated, or may see, page by page; and the cursor after it."""
    found: list[tuple[str, int]] = []
    sites = None if tenant.site_id == "*" else [tenant.site_id]
    while True:
        async with store.unit(tenant) as unit:
            now = await unit.snapshot(cursor.latest)
            assert now.follows
            cursor = cursor.within(now.text, now.database)
            page = await unit.recorded(cursor, sites=sites, limit=limit)
        found += [(event.stream_id, event.version) for _, event in page]
        if len(page) < limit:
            return cursor.at_the_end(), found
        cursor = cursor.behind(page[-1][0])


class StoreContract:
    @pytest.fixture
    def participant(self) -> str:
        return new_participant_id()

    @pytest.fixture
    async def study(self, store: Store, study_id: str) -> str:
        """A study that is open: its own stream is at version 1."""
        await keep(store, append(study_id, study_id))
        return study_id

    async def test_what_was_appended_is_recalled_as_it_was(self, store: Store, study: str, participant: str) -> None:
        events = [event(study, participant, 1, sealed=b"\x00sealed"), event(study, participant, 2)]
        head = Head(2, "S1", b"key", {"status": "enrolled"})
        await keep(store, Append(0, 1, head, events, data_key=b"wrapped"))
        recalled = await seen(store, Tenant(study), participant)
        assert (recalled.study_version, recalled.head, recalled.outcome) == (1, head, None)
        assert [shown(each) for each in recalled.events] == [shown(each) for each in events]
        async with store.unit(Tenant(study)) as unit:
            assert await unit.data_key(participant) == b"wrapped"

    async def test_what_is_not_there_is_recalled_as_nothing(self, store: Store, study: str, participant: str) -> None:
        recalled = await seen(store, Tenant(study), participant)
        assert recalled == Recalled(1, Head(), ())
        async with store.unit(Tenant(study)) as unit:
            assert await unit.data_key(participant) is None

    async def test_a_study_that_is_not_there_has_version_0(self, store: Store, study_id: str) -> None:
        assert await seen(store, Tenant(study_id), study_id) == Recalled(0, Head(), ())

    async def test_an_append_at_another_version_is_refused(self, store: Store, study: str, participant: str) -> None:
        await keep(store, append(study, participant))
        for expected in (0, 2, 7):
            with pytest.raises(StreamMoved):
                await keep(store, append(study, participant, expected))
        assert (await seen(store, Tenant(study), participant)).head.version == 1

    async def test_a_new_stream_cannot_begin_in_the_middle(self, store: Store, study: str, participant: str) -> None:
        with pytest.raises(StreamMoved):
            await keep(store, append(study, participant, 1))

    async def test_an_append_decided_by_another_version_of_the_study_is_refused(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, append(study, study, 1))
        for version in (1, 3):
            with pytest.raises(StudyMoved):
                await keep(store, append(study, participant, study_version=version))
        await keep(store, append(study, participant, study_version=2))

    async def test_versions_have_no_gap(self, store: Store, study: str, participant: str) -> None:
        for expected, count in ((0, 1), (1, 3), (4, 2)):
            await keep(store, append(study, participant, expected, count=count))
        recalled = await seen(store, Tenant(study), participant)
        assert [each.version for each in recalled.events] == [1, 2, 3, 4, 5, 6]
        assert recalled.head.version == 6

    async def test_a_batch_is_kept_whole_or_not_at_all(self, store: Store, study: str, participant: str) -> None:
        await keep(store, append(study, participant))
        with pytest.raises(StreamMoved):
            await keep(store, append(study, participant, count=3, key="k", outcome=answered("first")))
        recalled = await seen(store, Tenant(study), participant, key="k")
        assert (recalled.head.version, recalled.outcome) == (1, None)

    async def test_a_unit_that_is_left_by_an_exception_leaves_nothing(
        self, store: Store, study: str, participant: str
    ) -> None:
        proposal = append(study, participant, key="k", outcome=answered("first"), data_key=b"wrapped", search_key=b"r")
        with pytest.raises(Undone):
            await keep_and_undo(store, proposal)
        assert await seen(store, Tenant(study), participant, key="k") == Recalled(1, Head(), ())
        await keep(store, proposal)
        assert (await seen(store, Tenant(study), participant, key="k")).outcome == answered("first")

    async def test_an_append_alone_is_kept_and_refused_as_one_in_a_unit(
        self, store: Store, study: str, participant: str
    ) -> None:
        proposal = append(study, participant, key="k", key_site="S1", outcome=answered("first"))
        await store.append(Tenant(study, "S1"), proposal)
        recalled = await seen(store, Tenant(study, "S1"), participant, key="k", key_site="S1")
        assert (recalled.head.version, recalled.outcome) == (1, answered("first"))
        with pytest.raises(KeyTaken):
            await store.append(Tenant(study, "S1"), proposal)
        for tenant, expected in ((Tenant(study, "S1"), 0), (Tenant(study, "S2"), 1)):
            with pytest.raises(StreamMoved):
                await store.append(tenant, append(study, participant, expected))
        assert (await seen(store, Tenant(study), participant)).head.version == 1

    async def test_a_key_that_was_stored_in_clear_is_found_and_taken(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, append(study, participant, key="k", key_site="S1", outcome=answered("first")))
        both: dict[str, Any] = {"key": "hmac 1", "clear_key": "k", "key_site": "S1"}
        assert (await seen(store, Tenant(study, "S1"), participant, **both)).outcome == answered("first")
        again = append(study, participant, 1, outcome=answered("second"), **both)
        for keep_it in (keep(store, again), store.append(Tenant(study, "S1"), again)):
            with pytest.raises(KeyTaken):
                await keep_it
        await keep(store, append(study, participant, 1, outcome=answered("third"), **{**both, "clear_key": "other"}))
        assert (await seen(store, Tenant(study), participant, key="hmac 1")).outcome == answered("third")
        assert (await seen(store, Tenant(study), participant)).outcome is None

    async def test_a_search_key_that_yields_is_left_out_where_another_stream_has_it(
        self, store: Store, study: str
    ) -> None:
        first, second = sorted(new_participant_id() for _ in range(2))
        await keep(store, append(study, first, search_key=b"r"))
        await keep(store, append(study, second))
        with pytest.raises(SearchKeyTaken):
            await keep(store, append(study, second, 1, search_key=b"r"))
        await keep(store, append(study, second, 1, search_key=b"r", yields=True))
        await keep(store, append(study, first, 1, search_key=b"r", yields=True))
        await keep(store, append(study, second, 2, search_key=b"free", yields=True))
        kept = [(await seen(store, Tenant(study), each)).head.search_key for each in (first, second)]
        assert kept == [b"r", b"free"]

    async def test_appends_that_arrive_together_are_each_kept_or_refused_for_their_own_reasons(
        self, store: Store, study: str
    ) -> None:
        names = sorted(new_participant_id() for _ in range(24))
        tenants = [Tenant(study, f"S{place % 3}") for place in range(24)]
        bad: dict[int, tuple[type[Exception], dict[str, Any]]] = {
            3: (StreamMoved, {"expected": 4}),
            7: (StudyMoved, {"study_version": 9}),
            11: (KeyTaken, {"key": "k0"}),
            15: (SearchKeyTaken, {"search_key": b"r0"}),
        }
        proposals = []
        for place, name in enumerate(names):
            own: dict[str, Any] = {"key": f"k{place}", "search_key": b"r%d" % place} | (
                bad[place][1] if place in bad else {}
            )
            site = "S0" if place in (11, 15) else str(tenants[place].site_id)
            own |= {"outcome": answered(name), "key_site": site, "site": site}
            proposals.append((Tenant(study, site), append(study, name, **own)))
        first, rest = proposals[0], proposals[1:]
        await store.append(*first)
        told = await asyncio.gather(*(store.append(*each) for each in rest), return_exceptions=True)
        expected = [bad[place][0] if place in bad else type(None) for place in range(1, 24)]
        assert [type(each) for each in told] == expected
        there = [name for place, name in enumerate(names) if place not in bad]
        async with store.unit(Tenant(study)) as unit:
            found = await unit.listing(site=None, status=None, search_key=None, after="", limit=99)
        assert [(name, head.version) for name, head in found] == [(name, 1) for name in there]

    async def test_who_asked_for_an_append_and_left_keeps_nobody_elses_from_being_kept(
        self, store: Store, study: str
    ) -> None:
        names = [new_participant_id() for _ in range(12)]
        asked = [asyncio.create_task(store.append(Tenant(study, "S1"), append(study, name))) for name in names]
        await asyncio.sleep(0)
        for leaving in asked[::3]:
            leaving.cancel()
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [each for place, each in enumerate(told) if place % 3] == [None] * 8
        for place, name in enumerate(names):
            if place % 3:
                assert (await seen(store, Tenant(study), name)).head.version == 1

    async def test_a_transfer_opens_nothing_to_appends_that_go_with_it(self, store: Store, study: str) -> None:
        moving, others = new_participant_id(), [new_participant_id() for _ in range(6)]
        for name, site in ((moving, "S1"), *((name, "S2") for name in others)):
            await store.append(Tenant(study, site), append(study, name, site=site))
        of_the_first_site = Tenant(study, "S1")
        attempts = [store.append(of_the_first_site, append(study, moving, 1, site="S2"))]
        attempts += [store.append(of_the_first_site, append(study, name, 1, site="S1")) for name in others]
        told = await asyncio.gather(*attempts, return_exceptions=True)
        assert [type(each) for each in told] == [type(None), *[StreamMoved] * 6]
        versions = [(await seen(store, Tenant(study, "S2"), name)).head.version for name in (moving, *others)]
        assert versions == [2, 1, 1, 1, 1, 1, 1]

    async def test_an_outcome_is_recalled_by_its_key_at_the_site_or_in_the_stream(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, append(study, participant, key="k", key_site="S1", outcome=answered("first")))
        elsewhere = new_participant_id()
        for stream_id, site, expected in (
            (participant, "S1", answered("first")),
            (participant, "S2", answered("first")),
            (elsewhere, "S1", answered("first")),
            (elsewhere, "S2", None),
            (elsewhere, "*", None),
        ):
            recalled = await seen(store, Tenant(study), stream_id, key="k", key_site=site)
            assert recalled.outcome == expected, (stream_id, site)
        assert (await seen(store, Tenant(study), participant, key="other", key_site="S1")).outcome is None

    async def test_a_key_serves_once_per_site(self, store: Store, study: str) -> None:
        first, second, third = (new_participant_id() for _ in range(3))
        await keep(store, append(study, first, key="k", key_site="S1", outcome=answered("first")))
        with pytest.raises(KeyTaken):
            await keep(store, append(study, second, key="k", key_site="S1", outcome=answered("second")))
        await keep(store, append(study, third, site="S2", key="k", key_site="S2", outcome=answered("third")))
        assert (await seen(store, Tenant(study), second, key="k", key_site="S1")).outcome == answered("first")
        assert (await seen(store, Tenant(study), third, key="k", key_site="S2")).outcome == answered("third")

    async def test_one_of_two_simultaneous_appends_wins(self, store: Store, study: str, participant: str) -> None:
        outcomes = await asyncio.gather(
            *(keep(store, append(study, participant)) for _ in range(2)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes if outcome] == [StreamMoved]
        assert (await seen(store, Tenant(study), participant)).head.version == 1

    async def test_the_second_of_two_simultaneous_requests_with_one_key_learns_what_the_first_was_told(
        self, store: Store, study: str
    ) -> None:
        async def request(name: str) -> Outcome | None:
            stream_id = new_participant_id()
            proposal = append(study, stream_id, key="k", key_site="S1", outcome=answered(name))
            try:
                await keep(store, proposal)
            except KeyTaken:
                return (await seen(store, Tenant(study), stream_id, key="k", key_site="S1")).outcome
            return proposal.outcome

        told = await asyncio.gather(*(request(name) for name in "ab"))
        assert told[0] == told[1] is not None
        async with store.unit(Tenant(study)) as unit:
            assert len(await unit.listing(site=None, status=None, search_key=None, after="", limit=9)) == 1

    async def test_many_writers_of_one_stream_each_get_a_version(
        self, store: Store, study: str, participant: str
    ) -> None:
        async def write() -> None:
            while True:
                version = (await seen(store, Tenant(study), participant)).head.version
                try:
                    return await keep(store, append(study, participant, version))
                except Moved:
                    continue

        async with asyncio.timeout(30):
            await asyncio.gather(*(write() for _ in range(8)))
        recalled = await seen(store, Tenant(study), participant)
        assert [each.version for each in recalled.events] == [*range(1, 9)]

    async def test_a_search_key_is_one_participants_at_its_site(self, store: Store, study: str) -> None:
        first, second, third = (new_participant_id() for _ in range(3))
        await keep(store, append(study, first, search_key=b"r"))
        with pytest.raises(SearchKeyTaken):
            await keep(store, append(study, second, search_key=b"r"))
        await keep(store, append(study, third, site="S2", search_key=b"r"))
        await keep(store, append(study, first, 1, search_key=b"r"))
        assert (await seen(store, Tenant(study), second)).head.version == 0

    async def test_a_search_key_that_is_given_up_can_be_used_again(self, store: Store, study: str) -> None:
        first, second = new_participant_id(), new_participant_id()
        await keep(store, append(study, first, search_key=b"r"))
        await keep(store, append(study, first, 1, search_key=None))
        await keep(store, append(study, second, search_key=b"r"))
        with pytest.raises(SearchKeyTaken):
            await keep(store, append(study, first, 2, search_key=b"r"))

    async def test_another_site_sees_nothing_of_a_participant(self, store: Store, study: str, participant: str) -> None:
        await keep(store, append(study, participant, data_key=b"w", key="k", key_site="S1", outcome=answered("first")))
        other = Tenant(study, "S2")
        assert await seen(store, other, participant, key="k", key_site="S1") == Recalled(1, Head(), ())
        async with store.unit(other) as unit:
            assert await unit.data_key(participant) is None
            assert await unit.listing(site=None, status=None, search_key=None, after="", limit=9) == []
            assert await unit.feed(sites=["S1", "S2"], after=("", 0), limit=9) == []
        assert (await seen(store, Tenant(study, "S1"), participant)).head.version == 1

    async def test_another_site_cannot_append_to_a_participant(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, append(study, participant))
        with pytest.raises(StreamMoved):
            await keep(store, append(study, participant, 1), "S2")
        assert (await seen(store, Tenant(study), participant)).head.version == 1

    async def test_a_site_hands_a_participant_over_and_sees_it_no_more(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, append(study, participant), "S1")
        await keep(store, append(study, participant, 1, site="S2"), "S1")
        assert (await seen(store, Tenant(study, "S1"), participant)).head.version == 0
        assert (await seen(store, Tenant(study, "S2"), participant)).head.version == 2

    async def test_another_study_sees_nothing(self, store: Store, study: str, participant: str) -> None:
        await keep(store, append(study, participant, key="k", outcome=answered("first")))
        other = Tenant(f"{study}-b")
        assert await seen(store, other, participant, key="k") == Recalled(0, Head(), ())
        assert await seen(store, other, study) == Recalled(0, Head(), ())

    async def test_the_same_participant_number_in_two_studies_is_two_streams(
        self, store: Store, study: str, participant: str
    ) -> None:
        other = f"{study}-b"
        await keep(store, append(other, other))
        for each in (study, other):
            await keep(store, append(each, participant, count=2 if each == study else 1))
        assert (await seen(store, Tenant(study), participant)).head.version == 2
        assert (await seen(store, Tenant(other), participant)).head.version == 1

    async def test_the_listing_goes_page_by_page_through_what_is_asked_for(self, store: Store, study: str) -> None:
        names = sorted(new_participant_id() for _ in range(5))
        for place, name in enumerate(names):
            status = "voided" if place == 2 else "enrolled"
            await keep(
                store, append(study, name, site="S2" if place == 4 else "S1", status=status, search_key=b"%d" % place)
            )
        everyone: dict[str, Any] = {"site": None, "status": None, "search_key": None}
        async with store.unit(Tenant(study)) as unit:
            first = await unit.listing(**everyone, after="", limit=3)
            rest = await unit.listing(**everyone, after=first[-1][0], limit=3)
            assert [name for name, _ in (*first, *rest)] == names
            assert first[0][1] == Head(1, "S1", None, {"status": "enrolled"})
            for by, expected in (({"site": "S2"}, 4), ({"status": "voided"}, 2), ({"search_key": b"3"}, 3)):
                found = await unit.listing(**(everyone | by), after="", limit=9)
                assert [name for name, _ in found] == [names[expected]]

    async def test_the_feed_goes_page_by_page_through_the_events_of_sites(self, store: Store, study: str) -> None:
        names = sorted(new_participant_id() for _ in range(3))
        for name, site in zip(names, ("S1", "S2", "S1"), strict=True):
            await keep(store, append(study, name, count=2, site=site))
        found: list[tuple[str, int]] = []
        async with store.unit(Tenant(study)) as unit:
            while page := await unit.feed(sites=["S1"], after=found[-1] if found else ("", 0), limit=3):
                found += [(each.stream_id, each.version) for each in page]
            both = await unit.feed(sites=["S1", "S2"], after=("", 0), limit=9)
        assert found == [(name, version) for name in (names[0], names[2]) for version in (1, 2)]
        assert len(both) == 6

    async def test_events_are_read_in_the_order_of_recording_from_a_cursor_on(self, store: Store, study: str) -> None:
        names = [new_participant_id() for _ in range(3)]
        for expected in (0, 2):
            for name in sorted(names, reverse=True):
                await keep(store, append(study, name, expected, count=2))
        cursor, first = await recorded_after(store, Tenant(study), FeedCursor(), limit=5)
        order = sorted(names, reverse=True)
        assert first == [(name, version) for half in ((1, 2), (3, 4)) for name in order for version in half]
        assert (await recorded_after(store, Tenant(study), cursor, limit=5))[1] == []
        await keep(store, append(study, names[0], 4))
        assert (await recorded_after(store, Tenant(study), cursor, limit=5))[1] == [(names[0], 5)]
        assert (await recorded_after(store, Tenant(f"{study}-b"), FeedCursor(), limit=5))[1] == []

    async def test_each_site_reads_what_it_stated_before_and_after_a_transfer(
        self, store: Store, study: str, participant: str
    ) -> None:
        await keep(store, append(study, participant, count=2, data_key=b"w"), "S1")
        await keep(store, append(study, participant, 2, site="S2", stated_at="S1"), "S1")
        await keep(store, append(study, participant, 3, site="S2"), "S2")
        by_site = {site: (await recorded_after(store, Tenant(study, site), FeedCursor()))[1] for site in ("S1", "S2")}
        assert by_site == {"S1": [(participant, 1), (participant, 2), (participant, 3)], "S2": [(participant, 4)]}
        assert len((await recorded_after(store, Tenant(study), FeedCursor()))[1]) == 4
        async with store.unit(Tenant(study, "S1")) as unit:
            assert await unit.feed(sites=["S1"], after=("", 0), limit=9) == []
            assert await unit.data_key(participant) is None
            assert await unit.listing(site=None, status=None, search_key=None, after="", limit=9) == []
            assert await unit.recall(participant) == Recalled(1, Head(), ())

    @pytest.mark.parametrize("name", ["'; drop table events; --", "%", "\\", '"', "{app}", "a\nb", "' or true --"])
    async def test_a_name_that_looks_like_a_command_is_a_name(self, store: Store, study: str, name: str) -> None:
        await keep(store, append(study, name, key=name, key_site="S1", outcome=answered(name)))
        recalled = await seen(store, Tenant(study), name, key=name, key_site="S1")
        assert (recalled.head.version, recalled.outcome) == (1, answered(name))
        assert await seen(store, Tenant(name), study) == Recalled(0, Head(), ())
