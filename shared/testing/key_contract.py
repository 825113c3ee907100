"""Contract of stores about idempotency keys and search keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.eventstore.store import IdempotencyKeyConflict, IdempotentResult, SearchKeyConflict, Store
from shared.kernel.ids import new_participant_id
from shared.postgres.tenancy import Tenant
from shared.testing.append_requests import append_in_unit, build_append, build_outcome, load_stream


class KeyContract:
    """A key has one outcome at a site, and a search key has one participant there."""

    async def test_an_outcome_is_found_by_its_key_at_the_site_or_in_the_stream(
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
            loaded_stream = await load_stream(store, Tenant(study), stream_id, key="k", key_site=site)
            assert loaded_stream.outcome == expected, (stream_id, site)
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

    async def test_a_key_opens_one_study(self, store: Store, study: str) -> None:
        first, second = f"{study}-1", f"{study}-2"
        key = f"opening {study}"
        await append_in_unit(store, build_append(first, first, opening_key=key))
        opening = build_append(second, second, opening_key=key)
        for attempt in (append_in_unit(store, opening), store.append(Tenant(second), opening)):
            with pytest.raises(IdempotencyKeyConflict):
                await attempt
        assert (await load_stream(store, Tenant(second), second)).head.version == 0
        async with store.unit(Tenant(second)) as unit:
            assert await unit.find_opened_study(key) == first
            assert await unit.find_opened_study("other") is None

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
