from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import pytest

from services.analytics.projection.journal import project
from shared.contracts.event import Event
from shared.inbox.apply import Connection, Parked, Poison, apply_batch, apply_patiently
from shared.inbox.line import MISSING, Received
from shared.inbox.parked import (
    NotParked,
    discard,
    discard_unreadable,
    parked_streams,
    retry,
    retry_unreadable,
    unreadable_messages,
)
from shared.security.tenancy import Tenant, transaction
from tests.conftest import Database
from tests.integration.analytics import apply, journal, lines, stands
from tests.integration.stated import arrived, as_received, enrolled, lesion, participant, study


async def refuses_lesions(connection: Connection, events: Sequence[Event]) -> None:
    """An effect that writes first and refuses then."""
    await project(connection, events)
    if any(event.type == "lesion.registered" for event in events):
        raise Poison("no-lesions-here")


def nobodys(study_id: str, offset: int) -> Received:
    """A message that does not say whose it is."""
    message = as_received(participant(study_id).events[0], offset)
    return replace(message, headers=tuple(pair for pair in message.headers if pair[0] != "ce_source"))


async def mine(connection: Connection, offset: int) -> list[int]:
    return [each.id for each in await unreadable_messages(connection) if each.offset == offset]


async def test_a_batch_is_applied_once_however_often_it_comes(analytics_database: Database, study_id: str) -> None:
    messages = arrived(participant(study_id, lesion()).events)
    first = await apply(analytics_database.system, messages)
    again = await apply(analytics_database.system, [*messages, *messages])
    assert ([event.version for event in first.events], again.events) == ([1, 2, 3], ())
    assert [row["position"] for row in await journal(analytics_database.system, study_id)] == [1, 2, 3]


async def test_a_gap_parks_its_stream_and_no_other(analytics_database: Database, study_id: str) -> None:
    gapped, whole, told = participant(study_id, lesion()), participant(study_id), study(study_id)
    batch = [gapped.events[0], gapped.events[2], *whole.events, *told.events]
    applied = await apply(analytics_database.system, arrived(batch))
    assert applied.parked == (Parked(gapped.source, gapped.stream_id, 1, MISSING),)
    assert await lines(analytics_database.system, study_id) == {
        gapped.stream_id: (1, MISSING), whole.stream_id: (2, None), study_id: (4, None)
    }  # fmt: skip


async def test_the_missing_version_lets_all_that_waits_be_applied_in_order_at_once(
    analytics_database: Database, study_id: str
) -> None:
    telling = participant(study_id, *(lesion(f"L{n}") for n in range(5)))
    messages = arrived(telling.events)
    for message in (messages[0], messages[5], messages[3]):
        await apply(analytics_database.system, [message])
    await apply(analytics_database.system, [messages[2], messages[4]])
    closing = await apply(analytics_database.system, [messages[1]])
    assert [event.version for event in closing.events] == [2, 3, 4, 5, 6]
    assert await lines(analytics_database.system, study_id) == {telling.stream_id: (6, None)}
    waiting = "select count(*) from inbox_waiting where subject = $1"
    assert await analytics_database.system.fetchval(waiting, telling.stream_id) == 0


async def test_poison_parks_its_stream_and_a_better_message_mends_it(
    analytics_database: Database, study_id: str
) -> None:
    telling, other = participant(study_id, lesion()), participant(study_id)
    messages = arrived(telling.events)
    spoilt = replace(messages[1], value=b"{")
    applied = await apply(analytics_database.system, [messages[0], spoilt, messages[2], *arrived(other.events, 100)])
    assert [event.stream_id for event in applied.events] == [telling.stream_id, other.stream_id, other.stream_id]
    assert [(each.version, each.subject) for each in applied.parked] == [(1, telling.stream_id)]
    mended = await apply(analytics_database.system, [replace(messages[1], offset=200)])
    assert [event.version for event in mended.events] == [2, 3]


async def test_what_the_effect_refuses_is_parked_and_leaves_nothing_behind(
    analytics_database: Database, study_id: str
) -> None:
    poisoned, before, after = participant(study_id, lesion(), enrolled()), participant(study_id), participant(study_id)
    messages = arrived([*before.events, *poisoned.events, *after.events])
    applied = await apply(analytics_database.system, messages, refuses_lesions)
    assert applied.parked == (Parked(poisoned.source, poisoned.stream_id, 2, "no-lesions-here"),)
    rows = await journal(analytics_database.system, study_id)
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["type"] for row in rows} == {"participant.screened", "participant.enrolled"}


async def test_content_that_the_database_cannot_hold_is_poison(analytics_database: Database, study_id: str) -> None:
    async def overflows(connection: Connection, events: Sequence[Event]) -> None:
        await connection.execute("select $1::bigint::smallint", max(event.version for event in events) * 20_000)

    telling, other = participant(study_id), participant(study_id)
    applied = await apply(analytics_database.system, arrived([*telling.events, other.events[0]]), overflows)
    assert applied.parked == (Parked(telling.source, telling.stream_id, 1, "database-22003"),)
    assert await lines(analytics_database.system, study_id) == {
        telling.stream_id: (1, "database-22003"), other.stream_id: (1, None)
    }  # fmt: skip


async def test_an_error_that_is_nobodys_poison_undoes_the_batch(analytics_database: Database, study_id: str) -> None:
    async def fails(connection: Connection, events: Sequence[Event]) -> None:
        await project(connection, events)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await apply(analytics_database.system, arrived(participant(study_id).events), fails)
    assert await lines(analytics_database.system, study_id) == {}
    assert await journal(analytics_database.system, study_id) == []


async def test_a_message_that_nobody_can_read_is_kept_by_itself_and_stops_no_stream(
    analytics_database: Database, study_id: str
) -> None:
    telling = participant(study_id)
    broken = nobodys(study_id, 7_000_001)
    applied = await apply(analytics_database.system, [broken, *arrived(telling.events), broken])
    assert applied.unreadable == ("ce_source-missing",) * 2
    assert len(applied.events) == 2
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        (kept,) = await mine(connection, 7_000_001)
        await discard_unreadable(connection, kept, by="ada", reason="not ours")
        with pytest.raises(NotParked):
            await discard_unreadable(connection, kept, by="ada", reason="not ours")
    discarded = await analytics_database.system.fetchrow(
        'select discarded_by, reason, value from inbox_discarded where "offset" = 7000001'
    )
    assert discarded == ("ada", "not ours", broken.value)


async def test_an_unreadable_message_can_be_read_again_and_moves_no_offset(
    analytics_database: Database, study_id: str
) -> None:
    await apply(analytics_database.system, [nobodys(study_id, 7_000_002)])
    offset = "select next from inbox_offset where topic = 'quartal.enrollment.v1' and partition = 0"
    before = await analytics_database.system.fetchval(offset)
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        (kept,) = await mine(connection, 7_000_002)
        applied = await retry_unreadable(connection, kept, project)
        assert applied.unreadable == ("ce_source-missing",)
        assert len(await mine(connection, 7_000_002)) == 1
    assert await analytics_database.system.fetchval(offset) == before


async def test_a_parked_stream_goes_on_when_it_is_tried_again_and_the_cause_is_gone(
    analytics_database: Database, study_id: str
) -> None:
    telling = participant(study_id, lesion(), enrolled())
    await apply(analytics_database.system, arrived(telling.events), refuses_lesions)
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        still = await retry(connection, telling.source, telling.stream_id, refuses_lesions)
        assert [(each.version, each.reason) for each in still.parked] == [(2, "no-lesions-here")]
        (listed,) = [each for each in await parked_streams(connection) if each.study_id == study_id]
        assert (listed.subject, listed.version, listed.waiting, listed.first) == (telling.stream_id, 2, 2, 3)
        assert len((await retry(connection, telling.source, telling.stream_id, project)).events) == 2
        with pytest.raises(NotParked):
            await retry(connection, telling.source, telling.stream_id, project)


async def test_discarding_passes_over_one_version_and_says_who_did_and_why(
    analytics_database: Database, study_id: str
) -> None:
    poisoned, gapped = participant(study_id, lesion(), enrolled()), participant(study_id, enrolled())
    await apply(analytics_database.system, arrived(poisoned.events), refuses_lesions)
    await apply(analytics_database.system, arrived([gapped.events[0], gapped.events[2]], 50))
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        for telling in (poisoned, gapped):
            went_on = await discard(
                connection, telling.source, telling.stream_id, by="ada", reason="agreed", effect=project
            )
            assert ([event.type for event in went_on.events], went_on.parked) == (["participant.enrolled"], ())
        rows = await connection.fetch(
            "select version, value is null as never_came, discarded_by, reason from inbox_discarded"
            " where source = $1 order by id",
            poisoned.source,
        )
    assert rows == [(3, False, "ada", "agreed"), (2, True, "ada", "agreed")]
    assert await lines(analytics_database.system, study_id) == {
        poisoned.stream_id: (4, None), gapped.stream_id: (3, None)
    }  # fmt: skip


async def test_the_number_of_statements_does_not_grow_with_the_batch(
    analytics_database: Database, study_id: str
) -> None:
    async def statements(connection: Connection, size: int) -> int:
        seen: list[str] = []
        messages = arrived([event for _ in range(size) for event in participant(study_id, lesion()).events])
        with connection.query_logger(lambda query: seen.append(query.query)):
            await apply_batch(connection, messages, project)
        return len(seen)

    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        await statements(connection, 1)  # a new connection asks for types once
        assert await statements(connection, 1) == await statements(connection, 100) <= 16


async def test_the_database_going_away_in_the_middle_is_waited_for(analytics_database: Database, study_id: str) -> None:
    attempts = 0

    async def interrupted(connection: Connection, events: Sequence[Event]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            own = await connection.fetchval("select pg_backend_pid()")
            superuser = await asyncpg.connect(analytics_database.superuser_url)
            await superuser.execute("select pg_terminate_backend($1)", own)
            await superuser.close()
        await project(connection, events)

    telling = participant(study_id)
    applied = await apply_patiently(analytics_database.system, arrived(telling.events), interrupted)
    assert (attempts, len(applied.events)) == (2, 2)
    assert len(await stands(analytics_database.system, study_id)) == 2


async def test_the_application_sees_where_its_own_streams_are_and_nothing_that_waits(
    analytics_database: Database, study_id: str
) -> None:
    telling, other = participant(study_id), participant(f"{study_id}-other")
    await apply(analytics_database.system, arrived([*telling.events, *other.events]))
    async with transaction(analytics_database.app, Tenant(study_id, "north")) as connection:
        assert await connection.fetch("select subject, version from inbox_stream") == [(telling.stream_id, 2)]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select from inbox_waiting")
    async with transaction(analytics_database.app, Tenant(study_id, "south")) as connection:
        assert await connection.fetch("select subject from inbox_stream") == []
