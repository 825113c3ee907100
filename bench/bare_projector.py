"""`python -m bench.bare_projector plain | bare GROUP`: projectors to compare the Faust worker with.

`plain` is the same core without Faust, over aiokafka. `bare` is the least that has the same effect: records as they are
fetched, the statements that the core sends, and a commit; it checks nothing.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from services.analytics.projection.projector import SQL as JOURNAL
from services.analytics.projection.projector import apply_events
from services.analytics.projection.worker import TOPICS
from shared.inbox.consumer import BATCH_SIZE, consume
from shared.inbox.repository import SQL as INBOX
from shared.postgres.tenancy import open_pool
from shared.runtime.logging import configure_logging
from shared.settings import Settings

SITE_EVENT_TYPE = "participant.screened"
"""The event type that assigns a participant to a site."""
EventRow = Mapping[str, Any]


async def run_plain(pool: asyncpg.Pool[Any], bootstrap: str, group: str, stop: asyncio.Event) -> None:
    await consume(pool, bootstrap=bootstrap, group=group, topics=TOPICS, handler=apply_events, stop=stop)


async def run_bare(pool: asyncpg.Pool[Any], bootstrap: str, group: str, stop: asyncio.Event) -> None:
    consumer = AIOKafkaConsumer(
        *TOPICS,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    async with consumer:
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=250, max_records=BATCH_SIZE)
            if records := [record for part in fetched.values() for record in part]:
                async with pool.acquire() as connection, connection.transaction():
                    await _apply(connection, records)
                await consumer.commit()


async def _apply(connection: Any, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
    rows = [_row_from_record(record) for record in records]
    next_offsets = {(record.topic, record.partition): record.offset + 1 for record in records}
    await connection.execute(
        INBOX["store_offsets"],
        [topic for topic, _ in next_offsets],
        [part for _, part in next_offsets],
        list(next_offsets.values()),
    )
    await _update_cursors(connection, rows)
    studies: dict[str, int] = {}
    for row in rows:
        studies[row["study_id"]] = studies.get(row["study_id"], 0) + 1
    position_rows = await connection.fetch(JOURNAL["take_positions"], list(studies), list(studies.values()))
    await _write_rows(connection, rows, {row["study_id"]: row for row in position_rows}, studies)


def _row_from_record(record: ConsumerRecord[bytes, bytes]) -> dict[str, Any]:
    headers = {name: value.decode() for name, value in record.headers}
    source = headers["ce_source"]
    _, _, study_id, service = source.split("/")
    return {
        "study_id": study_id,
        "service": service,
        "source": source,
        "subject": headers["ce_subject"],
        "version": int(headers["ce_streamversion"]),
        "event_id": UUID(headers["ce_id"]),
        "type": headers["ce_type"].removeprefix("quartal."),
        "schema_version": int(headers["ce_dataschema"].split(".")[-3][1:]),
        "site_id": headers.get("ce_siteid"),
        "data": record.value.decode(),
        "meta": "{}",
        "known_on": date.fromisoformat(headers["ce_recordedon"]),
        "to_position": None,
        "recorded_at": datetime.fromisoformat(headers["ce_time"]),
    }


async def _update_cursors(connection: Any, rows: Sequence[EventRow]) -> None:
    last_rows = {(row["source"], row["subject"]): row for row in rows}
    sources, subjects = [source for source, _ in last_rows], [subject for _, subject in last_rows]
    await connection.execute(
        INBOX["create_streams"], [row["study_id"] for row in last_rows.values()], sources, subjects
    )
    await connection.fetch(INBOX["lock_streams"], sources, subjects)
    versions = [row["version"] for row in last_rows.values()]
    await connection.execute(INBOX["update_streams"], sources, subjects, versions, [None] * len(last_rows))


async def _write_rows(
    connection: Any, rows: Sequence[dict[str, Any]], position_rows: Mapping[str, EventRow], remaining: dict[str, int]
) -> None:
    for row in rows:
        remaining[row["study_id"]] -= 1
        row["position"] = row["from_position"] = position_rows[row["study_id"]]["position"] - remaining[row["study_id"]]
        row["applied_at"] = position_rows[row["study_id"]]["applied_at"]
    await connection.execute(JOURNAL["write_journal"], *_columns(rows, _JOURNAL_COLUMNS))
    await connection.execute(INBOX["open_facts"], *_columns(rows, _FACT_COLUMNS))
    if site_rows := [row for row in rows if row["type"] == SITE_EVENT_TYPE]:
        await connection.execute(INBOX["delete_subject_sites"], *_columns(site_rows, ("study_id", "subject")))
        await connection.execute(INBOX["upsert_subject_sites"], *_columns(site_rows, ("study_id", "subject")))


_JOURNAL_COLUMNS = (
    "study_id",
    "position",
    "source",
    "subject",
    "version",
    "event_id",
    "type",
    "schema_version",
    "site_id",
    "data",
    "meta",
    "recorded_at",
    "applied_at",
    "known_on",
)
_FACT_COLUMNS = (
    "event_id",
    "study_id",
    "service",
    "type",
    "subject",
    "site_id",
    "version",
    "recorded_at",
    "from_position",
    "to_position",
    "schema_version",
    "data",
    "known_on",
)


def _columns(rows: Sequence[EventRow], names: Sequence[str]) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]


async def main() -> None:
    settings, stop = Settings(), asyncio.Event()
    configure_logging("bench")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    run_projector = {"plain": run_plain, "bare": run_bare}[sys.argv[1]]
    async with await open_pool(settings.database_url("analytics", "system"), max_size=2) as pool:
        await run_projector(pool, settings.kafka_bootstrap, sys.argv[2], stop)


if __name__ == "__main__":
    uvloop.run(main())
