from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import pytest

from services.analytics.projection.projector import apply_events
from shared.contracts.event import Event
from shared.inbox.batch import ParkedCursor, PoisonEvent, apply_batch, apply_with_retry
from shared.inbox.parked import (
    ParkedItemNotFound,
    discard,
    discard_unreadable,
    parked_streams,
    retry,
    retry_unreadable,
    unreadable_messages,
)
from shared.inbox.repository import Connection
from shared.inbox.stream_cursor import VERSION_MISSING, KafkaMessage
from shared.postgres.tenancy import Tenant, transaction
from shared.testing.builders.facts import lesion_registered, participant_enrolled
from shared.testing.builders.messages import as_message, as_messages
from shared.testing.builders.participant_history import participant_stream, study_stream
from tests.conftest import Database
from tests.integration.support.analytics_database import (
    journal_rows,
    project_messages,
    read_standing_facts,
    stream_states,
)


async def reject_lesions(connection: Connection, events: Sequence[Event]) -> None:
    """An effect that writes first and refuses then."""
    await apply_events(connection, events)
    if any(event.type == "lesion.registered" for event in events):
        raise PoisonEvent("no-lesions-here")


def message_without_source(study_id: str, offset: int) -> KafkaMessage:
    """A message that does not say whose it is."""
    message = as_message(participant_stream(study_id).events[0], offset)
    return replace(message, headers=tuple(pair for pair in message.headers if pair[0] != "ce_source"))


async def unreadable_ids(connection: Connection, offset: int) -> list[int]:
    return [message.id for message in await unreadable_messages(connection) if message.offset == offset]


async def test_message_batch_is_applied_only_once(analytics_database: Database, study_id: str) -> None:
    messages = as_messages(participant_stream(study_id, lesion_registered()).events)
    result = await project_messages(analytics_database.system, messages)
    repeated = await project_messages(analytics_database.system, [*messages, *messages])
    assert ([event.version for event in result.events], repeated.events) == ([1, 2, 3], ())
    assert [row["position"] for row in await journal_rows(analytics_database.system, study_id)] == [1, 2, 3]


async def test_version_gap_parks_only_its_own_stream(analytics_database: Database, study_id: str) -> None:
    gapped_stream, complete_stream, study_events_stream = (
        participant_stream(study_id, lesion_registered()),
        participant_stream(study_id),
        study_stream(study_id),
    )
    batch = [gapped_stream.events[0], gapped_stream.events[2], *complete_stream.events, *study_events_stream.events]
    result = await project_messages(analytics_database.system, as_messages(batch))
    assert result.parked == (ParkedCursor(gapped_stream.source, gapped_stream.stream_id, 1, VERSION_MISSING),)
    assert await stream_states(analytics_database.system, study_id) == {
        gapped_stream.stream_id: (1, VERSION_MISSING),
        complete_stream.stream_id: (2, None),
        study_id: (4, None),
    }


async def test_missing_version_releases_all_waiting_events_in_order(
    analytics_database: Database, study_id: str
) -> None:
    stream = participant_stream(study_id, *(lesion_registered(f"L{n}") for n in range(5)))
    messages = as_messages(stream.events)
    for message in (messages[0], messages[5], messages[3]):
        await project_messages(analytics_database.system, [message])
    await project_messages(analytics_database.system, [messages[2], messages[4]])
    result = await project_messages(analytics_database.system, [messages[1]])
    assert [event.version for event in result.events] == [2, 3, 4, 5, 6]
    assert await stream_states(analytics_database.system, study_id) == {stream.stream_id: (6, None)}
    waiting_count = "select count(*) from inbox_waiting where subject = $1"
    assert await analytics_database.system.fetchval(waiting_count, stream.stream_id) == 0


async def test_malformed_message_parks_its_stream_until_a_valid_one_arrives(
    analytics_database: Database, study_id: str
) -> None:
    stream, other = participant_stream(study_id, lesion_registered()), participant_stream(study_id)
    messages = as_messages(stream.events)
    malformed = replace(messages[1], value=b"{")
    result = await project_messages(
        analytics_database.system, [messages[0], malformed, messages[2], *as_messages(other.events, 100)]
    )
    assert [event.stream_id for event in result.events] == [stream.stream_id, other.stream_id, other.stream_id]
    assert [(event.version, event.subject) for event in result.parked] == [(1, stream.stream_id)]
    repaired = await project_messages(analytics_database.system, [replace(messages[1], offset=200)])
    assert [event.version for event in repaired.events] == [2, 3]


async def test_event_rejected_by_handler_parks_its_stream_and_changes_nothing(
    analytics_database: Database, study_id: str
) -> None:
    rejected_stream, before, after = (
        participant_stream(study_id, lesion_registered(), participant_enrolled()),
        participant_stream(study_id),
        participant_stream(study_id),
    )
    messages = as_messages([*before.events, *rejected_stream.events, *after.events])
    result = await project_messages(analytics_database.system, messages, reject_lesions)
    assert result.parked == (ParkedCursor(rejected_stream.source, rejected_stream.stream_id, 2, "no-lesions-here"),)
    rows = await journal_rows(analytics_database.system, study_id)
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["type"] for row in rows} == {"participant.screened", "participant.enrolled"}


async def test_event_that_the_database_cannot_store_parks_its_stream(
    analytics_database: Database, study_id: str
) -> None:
    async def overflow(connection: Connection, events: Sequence[Event]) -> None:
        await connection.execute("select $1::bigint::smallint", max(event.version for event in events) * 20_000)

    stream, other = participant_stream(study_id), participant_stream(study_id)
    result = await project_messages(analytics_database.system, as_messages([*stream.events, other.events[0]]), overflow)
    assert result.parked == (ParkedCursor(stream.source, stream.stream_id, 1, "database-22003"),)
    assert await stream_states(analytics_database.system, study_id) == {
        stream.stream_id: (1, "database-22003"),
        other.stream_id: (1, None),
    }


async def test_unexpected_handler_error_rolls_back_the_whole_batch(analytics_database: Database, study_id: str) -> None:
    async def fail(connection: Connection, events: Sequence[Event]) -> None:
        await apply_events(connection, events)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await project_messages(analytics_database.system, as_messages(participant_stream(study_id).events), fail)
    assert await stream_states(analytics_database.system, study_id) == {}
    assert await journal_rows(analytics_database.system, study_id) == []


async def test_unaddressable_message_is_kept_separately_and_blocks_no_stream(
    analytics_database: Database, study_id: str
) -> None:
    stream = participant_stream(study_id)
    unaddressable = message_without_source(study_id, 7_000_001)
    result = await project_messages(
        analytics_database.system, [unaddressable, *as_messages(stream.events), unaddressable]
    )
    assert result.unreadable == ("ce_source-missing",) * 2
    assert len(result.events) == 2
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        (message_id,) = await unreadable_ids(connection, 7_000_001)
        await discard_unreadable(connection, message_id, discarded_by="ada", reason="not ours")
        with pytest.raises(ParkedItemNotFound):
            await discard_unreadable(connection, message_id, discarded_by="ada", reason="not ours")
    discarded = await analytics_database.system.fetchrow(
        'select discarded_by, reason, value from inbox_discarded where "offset" = 7000001'
    )
    assert discarded == ("ada", "not ours", unaddressable.value)


async def test_unreadable_message_can_be_retried_without_moving_the_offset(
    analytics_database: Database, study_id: str
) -> None:
    await project_messages(analytics_database.system, [message_without_source(study_id, 7_000_002)])
    offset_query = "select next from inbox_offset where topic = 'quartal.enrollment.v1' and partition = 0"
    before = await analytics_database.system.fetchval(offset_query)
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        (message_id,) = await unreadable_ids(connection, 7_000_002)
        result = await retry_unreadable(connection, message_id, apply_events)
        assert result.unreadable == ("ce_source-missing",)
        assert len(await unreadable_ids(connection, 7_000_002)) == 1
    assert await analytics_database.system.fetchval(offset_query) == before


async def test_parked_stream_continues_when_retried_after_its_cause_is_gone(
    analytics_database: Database, study_id: str
) -> None:
    stream = participant_stream(study_id, lesion_registered(), participant_enrolled())
    await project_messages(analytics_database.system, as_messages(stream.events), reject_lesions)
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        result = await retry(connection, stream.source, stream.stream_id, reject_lesions)
        assert [(event.version, event.reason) for event in result.parked] == [(2, "no-lesions-here")]
        (parked_stream,) = [
            parked_stream for parked_stream in await parked_streams(connection) if parked_stream.source == stream.source
        ]
        assert (parked_stream.subject, parked_stream.version, parked_stream.waiting) == (stream.stream_id, 2, 2)
        assert len((await retry(connection, stream.source, stream.stream_id, apply_events)).events) == 2
        with pytest.raises(ParkedItemNotFound):
            await retry(connection, stream.source, stream.stream_id, apply_events)


async def test_discarding_skips_one_version_and_records_user_and_reason(
    analytics_database: Database, study_id: str
) -> None:
    rejected_stream, gapped_stream = (
        participant_stream(study_id, lesion_registered(), participant_enrolled()),
        participant_stream(study_id, participant_enrolled()),
    )
    await project_messages(analytics_database.system, as_messages(rejected_stream.events), reject_lesions)
    await project_messages(
        analytics_database.system, as_messages([gapped_stream.events[0], gapped_stream.events[2]], 50)
    )
    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        for stream in (rejected_stream, gapped_stream):
            result = await discard(
                connection, stream.source, stream.stream_id, discarded_by="ada", reason="agreed", handler=apply_events
            )
            assert ([event.type for event in result.events], result.parked) == (["participant.enrolled"], ())
        rows = await connection.fetch(
            "select version, value is null as never_came, discarded_by, reason from inbox_discarded"
            " where source = $1 order by id",
            rejected_stream.source,
        )
    assert rows == [(3, False, "ada", "agreed"), (2, True, "ada", "agreed")]
    assert await stream_states(analytics_database.system, study_id) == {
        rejected_stream.stream_id: (4, None),
        gapped_stream.stream_id: (3, None),
    }


async def test_statement_count_does_not_depend_on_batch_size(analytics_database: Database, study_id: str) -> None:
    async def count_statements(connection: Connection, size: int) -> int:
        executed: list[str] = []
        messages = as_messages(
            [event for _ in range(size) for event in participant_stream(study_id, lesion_registered()).events]
        )
        with connection.query_logger(lambda query: executed.append(query.query)):
            await apply_batch(connection, messages, apply_events)
        return len(executed)

    async with transaction(analytics_database.system, Tenant(study_id)) as connection:
        await count_statements(connection, 1)  # a new connection asks for types once
        assert await count_statements(connection, 1) == await count_statements(connection, 100) <= 16


async def test_batch_is_retried_when_the_database_connection_is_lost(
    analytics_database: Database, study_id: str
) -> None:
    attempts = 0

    async def interrupt_once(connection: Connection, events: Sequence[Event]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            backend_pid = await connection.fetchval("select pg_backend_pid()")
            superuser = await asyncpg.connect(analytics_database.superuser_url)
            await superuser.execute("select pg_terminate_backend($1)", backend_pid)
            await superuser.close()
        await apply_events(connection, events)

    stream = participant_stream(study_id)
    result = await apply_with_retry(analytics_database.system, as_messages(stream.events), interrupt_once)
    assert (attempts, len(result.events)) == (2, 2)
    assert len(await read_standing_facts(analytics_database.system, study_id)) == 2


async def test_application_role_sees_positions_of_its_streams_but_no_waiting_events(
    analytics_database: Database, study_id: str
) -> None:
    stream, other = participant_stream(study_id), participant_stream(f"{study_id}-other")
    await project_messages(analytics_database.system, as_messages([*stream.events, *other.events]))
    async with transaction(analytics_database.app, Tenant(study_id, "rome")) as connection:
        assert await connection.fetch("select subject, version from inbox_stream") == [(stream.stream_id, 2)]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select from inbox_waiting")
    async with transaction(analytics_database.app, Tenant(study_id, "milan")) as connection:
        assert await connection.fetch("select subject from inbox_stream") == []
