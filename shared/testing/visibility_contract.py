"""Contract of stores about what the users of a site or a study read, page by page."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from shared.contracts.enrollment import ConsentSigned
from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.store import LoadedStream, SnapshotStore, Store, StreamHead, StreamVersionConflict
from shared.kernel.ids import new_participant_id
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import (
    RECORDED_AT,
    append_in_unit,
    build_append,
    build_consent_correction,
    build_outcome,
    load_stream,
)

CONSENTED = ConsentSigned.type_name


async def read_events_after(
    store: Store, tenant: Tenant, cursor: FeedCursor, limit: int = 9
) -> tuple[FeedCursor, list[tuple[str, int]]]:
    """Reads, page by page, what the tenant recorded or may see after a cursor.

    Returns the cursor at the end, and stream and version of each event.
    """
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


class VisibilityContract:
    """A site reads its participants and what it stated; a study reads nothing of another."""

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

    async def test_member_reads_what_they_recorded_on_a_day_of_participants_whom_they_see(
        self, store: Store, study: str, participant: str
    ) -> None:
        await append_in_unit(store, build_append(study, participant, count=2))
        day = RECORDED_AT.date()
        visible_versions = {}
        for site in ("*", "S1", "S2"):
            async with store.unit(Tenant(study, site)) as unit:
                events = await unit.list_member_events("someone", day, of_study=False, limit=9)
                visible_versions[site] = [event.version for event in events]
        assert visible_versions == {"*": [2, 1], "S1": [2, 1], "S2": []}
        async with store.unit(Tenant(study)) as unit:
            assert len(await unit.list_member_events("someone", day, of_study=True, limit=9)) == 1
            assert len(await unit.list_member_events("someone", day, of_study=False, limit=1)) == 1
            assert await unit.list_member_events("another", day, of_study=False, limit=9) == []
            assert await unit.list_member_events("someone", day - timedelta(days=1), of_study=False, limit=9) == []

    async def test_participants_of_a_site_are_found_by_what_a_fact_of_theirs_states(
        self, store: Store, study: str
    ) -> None:
        """The fact may have been recorded on any day, or be a correction. The tenant has to see the participant."""
        stated, corrected, foreign, later = sorted(new_participant_id() for _ in range(4))
        for name, site in ((stated, "S1"), (corrected, "S1"), (foreign, "S2"), (later, "S1")):
            await append_in_unit(store, build_append(study, name, site=site))
        await append_in_unit(store, build_consent_correction(study, corrected, "2024-03-08"))
        named: dict[tuple[str, str, str], list[str]] = {}
        for tenant, site, day in product(("*", "S1", "S2"), ("S1", "S2"), ("2024-03-07", "2024-03-08", "2024-03")):
            async with store.unit(Tenant(study, tenant)) as unit:
                names = await unit.list_streams_stating(CONSENTED, {"signed_on": day}, site=site, limit=9)
            named |= {(tenant, site, day): names} if names else {}
        of_first_site = {"2024-03-07": [stated, corrected, later], "2024-03-08": [corrected]}
        assert named == {
            **{(tenant, "S1", day): names for tenant in ("*", "S1") for day, names in of_first_site.items()},
            **{(tenant, "S2", "2024-03-07"): [foreign] for tenant in ("*", "S2")},
        }
        async with store.unit(Tenant(study)) as unit:
            content = {"signed_on": "2024-03-07"}
            assert await unit.list_streams_stating(CONSENTED, content, site="S1", limit=2) == [stated, corrected]
            other_version = {**content, "form_version": "another"}
            assert await unit.list_streams_stating(CONSENTED, other_version, site="S1", limit=9) == []
            assert await unit.list_streams_stating("participant.enrolled", content, site="S1", limit=9) == []

    @pytest.mark.parametrize("sites", [["S1", "S2"], ["S2", "S1"]])
    async def test_snapshot_has_a_participant_who_is_transferred_meanwhile_at_the_former_site(
        self, store: SnapshotStore, study: str, participant: str, sites: list[str]
    ) -> None:
        await append_in_unit(store, build_append(study, participant))
        participants_by_site: list[tuple[str, str]] = []
        async with store.snapshot([Tenant(study, site) for site in sites]) as snapshot:
            async for tenant, unit in snapshot:
                page = await unit.list_streams(site=None, status=None, search_key=None, after="", limit=9)
                participants_by_site += [(tenant.site_id, name) for name, _ in page]
                if tenant.site_id == sites[0]:
                    await append_in_unit(store, build_append(study, participant, 1, site="S2", stating_site="S1"))
        assert participants_by_site == [("S1", participant)]
        assert (await load_stream(store, Tenant(study, "S2"), participant)).head.version == 2

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

    async def test_concurrent_transfer_gives_no_access_to_other_appends(self, store: Store, study: str) -> None:
        moved_participant, other_participants = new_participant_id(), [new_participant_id() for _ in range(6)]
        for name, site in ((moved_participant, "S1"), *((name, "S2") for name in other_participants)):
            await store.append(Tenant(study, site), build_append(study, name, site=site))
        first_site = Tenant(study, "S1")
        attempts = [store.append(first_site, build_append(study, moved_participant, 1, site="S2"))]
        attempts += [store.append(first_site, build_append(study, name, 1, site="S1")) for name in other_participants]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), *[StreamVersionConflict] * 6]
        versions = [
            (await load_stream(store, Tenant(study, "S2"), name)).head.version
            for name in (moved_participant, *other_participants)
        ]
        assert versions == [2, 1, 1, 1, 1, 1, 1]

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

    @pytest.mark.parametrize("name", ["'; drop table events; --", "%", "\\", '"', "{app}", "a\nb", "' or true --"])
    async def test_a_name_that_looks_like_a_command_is_a_name(self, store: Store, study: str, name: str) -> None:
        await append_in_unit(store, build_append(study, name, key=name, key_site="S1", outcome=build_outcome(name)))
        loaded_stream = await load_stream(store, Tenant(study), name, key=name, key_site="S1")
        assert (loaded_stream.head.version, loaded_stream.outcome) == (1, build_outcome(name))
        assert await load_stream(store, Tenant(name), study) == LoadedStream(0, StreamHead(), ())

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
                stream_versions += [(event.stream_id, event.version) for event in page]
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
