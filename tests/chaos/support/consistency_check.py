"""Contents of each service's database for one study. They must agree once nothing is in transit."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeAlias

import asyncpg

from infra.local.data_folder import DataFolder
from services.analytics.cohort.cohort import Selection, build_cohort
from services.analytics.cohort.participant import excludes_participant
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.study_reader import UTC_OFFSET_OF_LAST_TIMEZONE
from shared.contracts.event import Event, stated_facts
from shared.inbox import standing_facts
from shared.kernel.record import current_record
from shared.outbox.event_rows import event_from_row
from tests.demo import Demo

RECORDING_SERVICES = ("enrollment", "toxicity", "followup")
CONSUMED_SERVICES = {"analytics": RECORDING_SERVICES, "toxicity": ("enrollment",), "followup": ("enrollment",)}
"""Services whose events each service consumes, by consumer."""
StreamKey: TypeAlias = tuple[str, str]
"""A stream: the service that records it, and the participant or the study."""
Connection: TypeAlias = "asyncpg.Connection[Any]"
_ALL_ROWS_SQL = "select t::text from {table} t where study_id = $1 order by t::text"
_SITE_BY_STREAM_SQL = "select stream_id, site_id from streams where study_id = $1 and site_id is not null"
_SITE_BY_SUBJECT_SQL = {"analytics": "select subject, site_id from subject_site where study_id = $1"}


@dataclass(frozen=True)
class StoredStudy:
    demo: Demo
    study_id: str

    @asynccontextmanager
    async def connection(self, service: str) -> AsyncIterator[Connection]:
        """The service's database, under the role that sees every study."""
        environment = (DataFolder(self.demo.data).holder_notes() or {})["environment"]
        connection = await asyncpg.connect(environment[f"QUARTAL_{service.upper()}_SYSTEM_URL"], timeout=5)
        try:
            yield connection
        finally:
            await connection.close()

    async def recorded_events(self) -> list[Event]:
        """Returns the events of the three stores, each stream in the order of its versions."""
        events: list[Event] = []
        for service in RECORDING_SERVICES:
            async with self.connection(service) as database:
                rows = await database.fetch(
                    "select * from events where study_id = $1 order by stream_id, version", self.study_id
                )
            events += [event_from_row(service, row) for row in rows]
        return events

    async def journal_rows(self) -> list[asyncpg.Record]:
        async with self.connection("analytics") as database:
            return await database.fetch("select * from journal where study_id = $1 order by position", self.study_id)

    async def has_reached(self, service: str, ends: Mapping[StreamKey, int]) -> bool:
        """Returns whether a consumer has applied each stream up to that version, and no other stream."""
        async with self.connection(service) as database:
            rows = await database.fetch("select * from inbox_stream where study_id = $1", self.study_id)
        return {(row["source"].rpartition("/")[2], row["subject"]): row["version"] for row in rows} == ends

    async def has_projected(self, count: int) -> bool:
        """Has analytics so many events? While its database is away it has not."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with self.connection("analytics") as database:
                journal_count = await database.fetchval(
                    "select count(*) from journal where study_id = $1", self.study_id
                )
                return bool(journal_count >= count)
        return False

    async def standing_facts(self, service: str) -> dict[tuple[str, str], Any]:
        """The facts that a consumer stores as current, by stream and event."""
        async with self.connection(service) as database:
            rows = await standing_facts.load_standing(database, self.study_id)
        return {(row.subject, str(row.event_id)): row.to_stated_fact(self.study_id).fact for row in rows}

    async def current_sites(self, service: str) -> dict[str, str]:
        """The site that sees each participant there."""
        async with self.connection(service) as database:
            return dict(await database.fetch(_SITE_BY_SUBJECT_SQL.get(service, _SITE_BY_STREAM_SQL), self.study_id))

    async def count_stuck(self, service: str) -> int:
        """Streams that are parked, and messages that wait or were passed over, of any study."""
        async with self.connection(service) as database:
            parked = await database.fetchval("select count(*) from inbox_stream where parked is not null")
            waiting = await database.fetchval("select count(*) from inbox_waiting")
            return int(parked + waiting + await database.fetchval("select count(*) from inbox_discarded"))

    async def table_rows(self) -> dict[str, list[str]]:
        """Returns the rows from which analytics computes its figures."""
        async with self.connection("analytics") as database:
            rows_by_table = {
                table: await database.fetch(_ALL_ROWS_SQL.format(table=table), self.study_id)
                for table in ("fact", "subject_site")
            }
        return {table: [str(row[0]) for row in rows] for table, rows in rows_by_table.items()}


async def wait_until(condition: Callable[[], Awaitable[bool]], timeout_seconds: float) -> None:
    """Returns when the condition holds. Raises TimeoutError if it does not within so many seconds."""
    async with asyncio.timeout(timeout_seconds):
        while not await condition():  # noqa: ASYNC110 - other processes, which have no event to wait for
            await asyncio.sleep(0.1)


def events_by_stream(events: Sequence[Event]) -> dict[StreamKey, list[Event]]:
    """Events by stream, in the order given."""
    by_stream: dict[StreamKey, list[Event]] = defaultdict(list)
    for event in events:
        by_stream[event.service, event.stream_id].append(event)
    return by_stream


def standing_events(events: Sequence[Event]) -> list[Event]:
    """The events whose facts are current, each with its current content."""
    first = {event.event_id: event for event in events}
    return [
        replace(first[stated.event_id], data=stated.fact.model_dump_json(), schema_version=stated.fact.schema_version)
        for stream in events_by_stream(events).values()
        for stated in current_record(stated_facts(stream)).stated_facts
    ]


def compute_figures(study_id: str, events: Sequence[Event], today: date) -> Mapping[str, Any]:
    """Computes each figure from the store's events alone."""
    study_record = current_record(stated_facts([event for event in events if event.is_study_event]))
    participant_events = [event for event in standing_events(events) if not event.is_study_event]
    excluded = frozenset(
        event.stream_id for event in participant_events if excludes_participant(event.stated_fact().fact)
    )
    known_until = min(today, (max(event.recorded_at for event in events) - UTC_OFFSET_OF_LAST_TIMEZONE).date())
    full_cohort = build_cohort(study_record, participant_events, excluded, today, known_until)
    return {name: figure.compute(full_cohort, Selection(today)).to_json() for name, figure in FIGURES.items()}
