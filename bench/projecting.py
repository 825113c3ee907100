"""`python -m bench.projecting plain | bare GROUP`: what the Faust worker is compared with, as processes like it.

`plain` is the same core below the plain shell. `bare` is the least that has the same effect: records as they are
fetched, the statements that the core sends, and a commit; nothing is checked.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from services.analytics.projection.journal import SQL as JOURNAL
from services.analytics.projection.journal import project
from services.analytics.projection.worker import TOPICS
from shared.inbox.apply import SQL as INBOX
from shared.inbox.consumer import BATCH, consume
from shared.observability.logging import configure
from shared.security.tenancy import open_pool
from shared.settings import Settings

FIRST = "participant.screened"
"""The type that tells where a participant is."""
Row = Mapping[str, Any]


async def plain(pool: asyncpg.Pool[Any], bootstrap: str, group: str, stop: asyncio.Event) -> None:
    await consume(pool, bootstrap, group, TOPICS, project, stop)


async def bare(pool: asyncpg.Pool[Any], bootstrap: str, group: str, stop: asyncio.Event) -> None:
    consumer = AIOKafkaConsumer(
        *TOPICS, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )  # fmt: skip
    async with consumer:
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=250, max_records=BATCH)
            if records := [record for part in fetched.values() for record in part]:
                async with pool.acquire() as connection, connection.transaction():
                    await _apply(connection, records)
                await consumer.commit()


async def _apply(connection: Any, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
    rows = [_row(record) for record in records]
    following = {(record.topic, record.partition): record.offset + 1 for record in records}
    await connection.execute(
        INBOX["store_offsets"], [topic for topic, _ in following], [part for _, part in following],
        list(following.values()),
    )  # fmt: skip
    await _move_lines(connection, rows)
    studies: dict[str, int] = {}
    for row in rows:
        studies[row["study_id"]] = studies.get(row["study_id"], 0) + 1
    taken = await connection.fetch(JOURNAL["take_positions"], list(studies), list(studies.values()))
    await _write(connection, rows, {each["study_id"]: each for each in taken}, studies)


def _row(record: ConsumerRecord[bytes, bytes]) -> dict[str, Any]:
    said = {name: value.decode() for name, value in record.headers}
    source = said["ce_source"]
    _, _, study_id, service = source.split("/")
    return {
        "study_id": study_id, "service": service, "source": source, "subject": said["ce_subject"],
        "version": int(said["ce_streamversion"]), "event_id": UUID(said["ce_id"]),
        "type": said["ce_type"].removeprefix("quartal."),
        "schema_version": int(said["ce_dataschema"].split(".")[-3][1:]),
        "site_id": said.get("ce_siteid"), "data": record.value.decode(), "meta": "{}", "to_position": None,
        "recorded_at": datetime.fromisoformat(said["ce_time"]),
    }  # fmt: skip


async def _move_lines(connection: Any, rows: Sequence[Row]) -> None:
    lines = {(row["source"], row["subject"]): row for row in rows}
    sources, subjects = [source for source, _ in lines], [subject for _, subject in lines]
    await connection.execute(INBOX["make_lines"], [row["study_id"] for row in lines.values()], sources, subjects)
    await connection.fetch(INBOX["lock_lines"], sources, subjects)
    versions = [row["version"] for row in lines.values()]
    await connection.execute(INBOX["move_lines"], sources, subjects, versions, [None] * len(lines))


async def _write(
    connection: Any, rows: Sequence[dict[str, Any]], taken: Mapping[str, Row], left: dict[str, int]
) -> None:
    for row in rows:
        left[row["study_id"]] -= 1
        row["position"] = row["from_position"] = taken[row["study_id"]]["position"] - left[row["study_id"]]
        row["applied_at"] = taken[row["study_id"]]["applied_at"]
    await connection.execute(JOURNAL["write"], *_columns(rows, _JOURNAL))
    await connection.execute(INBOX["open_facts"], *_columns(rows, _FACT))
    if moved := [row for row in rows if row["type"] == FIRST]:
        await connection.execute(INBOX["forget_sites"], *_columns(moved, ("study_id", "subject")))
        await connection.execute(INBOX["know_sites"], *_columns(moved, ("study_id", "subject")))


_JOURNAL = (
    "study_id", "position", "source", "subject", "version", "event_id", "type", "schema_version", "site_id", "data",
    "meta", "recorded_at", "applied_at",
)  # fmt: skip
_FACT = (
    "event_id", "study_id", "service", "type", "subject", "site_id", "version", "recorded_at", "from_position",
    "to_position", "schema_version", "data",
)  # fmt: skip


def _columns(rows: Sequence[Row], names: Sequence[str]) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]


async def main() -> None:
    settings, stop = Settings(), asyncio.Event()
    configure("bench")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    shell = {"plain": plain, "bare": bare}[sys.argv[1]]
    async with await open_pool(settings.database("analytics", "system"), largest=2) as pool:
        await shell(pool, settings.kafka_bootstrap, sys.argv[2], stop)


if __name__ == "__main__":
    uvloop.run(main())
