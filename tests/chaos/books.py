"""What every service has of one study, read from its database: the books that must agree when all is quiet."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeAlias

import asyncpg

from infra.local.folder import DataFolder
from services.analytics.asking import WESTERNMOST
from services.analytics.cohort import Selection, cohort, is_out
from services.analytics.figures.catalogue import FIGURES
from shared.contracts.event import Event, history
from shared.inbox import facts
from shared.kernel.record import standing
from shared.outbox.rows import event
from tests.demo import Demo

RECORDING = ("enrollment", "toxicity", "followup")
CONSUMERS = {"analytics": RECORDING, "toxicity": ("enrollment",), "followup": ("enrollment",)}
"""Who takes in what of whom."""
Key: TypeAlias = tuple[str, str]
"""A stream: the service that records it, and the participant or the study."""
Connection: TypeAlias = "asyncpg.Connection[Any]"
_EVERY_ROW = "select t::text from {table} t where study_id = $1 order by t::text"
_BY_STREAM = "select stream_id, site_id from streams where study_id = $1 and site_id is not null"
_SEEN_BY = {"analytics": "select subject, site_id from subject_site where study_id = $1"}


@dataclass(frozen=True)
class Books:
    demo: Demo
    study_id: str

    @asynccontextmanager
    async def of(self, service: str) -> AsyncIterator[Connection]:
        """The service's database, under the role that sees every study."""
        environment = (DataFolder(self.demo.data).running() or {})["environment"]
        connection = await asyncpg.connect(environment[f"QUARTAL_{service.upper()}_SYSTEM_URL"], timeout=5)
        try:
            yield connection
        finally:
            await connection.close()

    async def recorded(self) -> list[Event]:
        """Every event of the three stores, each stream in the order of its versions."""
        events: list[Event] = []
        for service in RECORDING:
            async with self.of(service) as database:
                rows = await database.fetch(
                    "select * from events where study_id = $1 order by stream_id, version", self.study_id
                )
            events += [event(service, row) for row in rows]
        return events

    async def journal(self) -> list[asyncpg.Record]:
        async with self.of("analytics") as database:
            return await database.fetch("select * from journal where study_id = $1 order by position", self.study_id)

    async def is_at(self, service: str, ends: Mapping[Key, int]) -> bool:
        """Has a consumer taken in each stream up to that version, and no other stream?"""
        async with self.of(service) as database:
            rows = await database.fetch("select * from inbox_stream where study_id = $1", self.study_id)
        return {(row["source"].rpartition("/")[2], row["subject"]): row["version"] for row in rows} == ends

    async def has(self, events: int) -> bool:
        """Has analytics so many events? While its database is away it has not."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with self.of("analytics") as database:
                counted = await database.fetchval("select count(*) from journal where study_id = $1", self.study_id)
                return bool(counted >= events)
        return False

    async def stands(self, service: str) -> dict[tuple[str, str], Any]:
        """The facts that a consumer takes to stand, by stream and event."""
        async with self.of(service) as database:
            rows = await facts.standing(database, self.study_id)
        return {(row.subject, str(row.event_id)): row.stated(self.study_id).fact for row in rows}

    async def sites(self, service: str) -> dict[str, str]:
        """The site that sees each participant there."""
        async with self.of(service) as database:
            return dict(await database.fetch(_SEEN_BY.get(service, _BY_STREAM), self.study_id))

    async def stuck(self, service: str) -> int:
        """Streams that are parked, and messages that wait or were passed over, of any study."""
        async with self.of(service) as database:
            parked = await database.fetchval("select count(*) from inbox_stream where parked is not null")
            waiting = await database.fetchval("select count(*) from inbox_waiting")
            return int(parked + waiting + await database.fetchval("select count(*) from inbox_discarded"))

    async def tables(self) -> dict[str, list[str]]:
        """Every row of what analytics computes its figures from."""
        async with self.of("analytics") as database:
            found = {
                table: await database.fetch(_EVERY_ROW.format(table=table), self.study_id)
                for table in ("fact", "subject_site")
            }
        return {table: [str(row[0]) for row in rows] for table, rows in found.items()}


async def until(holds: Callable[[], Awaitable[bool]], within: float) -> None:
    """Return when it holds; TimeoutError when it does not within so many seconds."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 - other processes, which have no event to wait for
            await asyncio.sleep(0.1)


def streams(events: Sequence[Event]) -> dict[Key, list[Event]]:
    """Events by stream, in the order given."""
    by_stream: dict[Key, list[Event]] = defaultdict(list)
    for each in events:
        by_stream[each.service, each.stream_id].append(each)
    return by_stream


def standing_now(events: Sequence[Event]) -> list[Event]:
    """The events that stand, each with the content that it reads as today."""
    first = {each.event_id: each for each in events}
    return [
        replace(first[stated.event_id], data=stated.fact.model_dump_json(), schema_version=stated.fact.schema_version)
        for stream in streams(events).values()
        for stated in standing(history(stream)).stated
    ]


def computed_afresh(study_id: str, events: Sequence[Event], today: date) -> Mapping[str, Any]:
    """Every figure, from the store's events alone."""
    study = standing(history([each for each in events if each.of_study]))
    stands = [each for each in standing_now(events) if not each.of_study]
    out = frozenset(each.stream_id for each in stands if is_out(each.stated().fact))
    known_on = min(today, (max(each.recorded_at for each in events) - WESTERNMOST).date())
    whole = cohort(study, stands, out, today, known_on)
    computed = {name: kind.compute(whole, Selection(today)) for name, kind in FIGURES.items()}
    return dict(json.loads(json.dumps(computed)))
