"""Contents of each service's database for one study. They must agree once nothing is in transit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from infra.local.data_folder import DataFolder
from services.analytics.derivation.rows import TABLES
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.derived_snapshot import StudyFacts, derive_snapshot
from services.analytics.snapshot.live_snapshots import LiveSnapshots
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.contracts.event import Event, stated_facts
from shared.inbox import standing_facts
from shared.kernel.fact import Correction
from shared.kernel.record import current_record
from shared.outbox.event_rows import event_from_row
from shared.postgres.tenancy import open_pool
from tests.demo import Demo
from tests.integration.support.snapshot_rows import decoded

RECORDING_SERVICES = ("enrollment", "toxicity", "followup")
CONSUMED_SERVICES = {"analytics": RECORDING_SERVICES, "toxicity": ("enrollment",), "followup": ("enrollment",)}
"""Services whose events each service consumes, by consumer."""
StreamKey: TypeAlias = tuple[str, str]
"""A stream: the service that records it, and the participant or the study."""
Connection: TypeAlias = "asyncpg.Connection[Any]"
_ALL_ROWS_SQL = "select (to_jsonb(entry) {without})::text from {table} entry where study_id = $1 order by 1"
_COMPARED_TABLES = {
    **dict.fromkeys(("fact", "subject_site", *(f"derived_{name}" for name in TABLES), "derived_data_query"), ""),
    "derived_subject": "- 'position' - 'reason' - 'revision'",
}
"""Tables that a rebuild reproduces, each with what may differ: where its rows come from."""
_SITE_BY_STREAM_SQL = "select stream_id, site_id from streams where study_id = $1 and site_id is not null"
_SITE_BY_SUBJECT_SQL = {"analytics": "select subject, site_id from subject_site where study_id = $1"}


@dataclass(frozen=True)
class StoredStudy:
    demo: Demo
    study_id: str

    @asynccontextmanager
    async def connection(self, service: str) -> AsyncIterator[Connection]:
        """The service's database, under the role that sees every study."""
        connection = await asyncpg.connect(self._system_url(service), timeout=5)
        try:
            yield connection
        finally:
            await connection.close()

    def _system_url(self, service: str) -> str:
        environment = (DataFolder(self.demo.data).holder_notes() or {})["environment"]
        return str(environment[f"QUARTAL_{service.upper()}_SYSTEM_URL"])

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

    async def has_derived(self, count: int) -> bool:
        """Returns whether the rows of analytics have so many events; not while its database is away."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with self.connection("analytics") as database:
                position = await database.fetchval(
                    "select position from derived_study where study_id = $1", self.study_id
                )
                return bool((position or 0) >= count)
        return False

    async def derived_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Returns the rows that figures are computed from, by table."""
        async with await open_pool(self._system_url("analytics"), max_size=1) as pool:
            return decoded(await LiveSnapshots(pool, frozenset(TABLES)).newest_snapshot(self.study_id))

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
                table: await database.fetch(_ALL_ROWS_SQL.format(table=table, without=without), self.study_id)
                for table, without in _COMPARED_TABLES.items()
            }
        return {table: [str(row[0]) for row in rows] for table, rows in rows_by_table.items()}


def events_by_stream(events: Sequence[Event]) -> dict[StreamKey, list[Event]]:
    """Events by stream, in the order given."""
    by_stream: dict[StreamKey, list[Event]] = defaultdict(list)
    for event in events:
        by_stream[event.service, event.stream_id].append(event)
    return by_stream


def standing_events(events: Sequence[Event]) -> list[Event]:
    """The events whose facts are current, each with its current content."""
    first = {event.event_id: event for event in events}
    last = {stated_id(event): event for event in sorted(events, key=lambda event: event.version)}
    return [
        replace(
            first[stated.event_id],
            data=stated.fact.model_dump_json(),
            schema_version=stated.fact.schema_version,
            known_on=last[stated.event_id].recorded_on,
        )
        for stream in events_by_stream(events).values()
        for stated in current_record(stated_facts(stream)).stated_facts
    ]


def stated_id(event: Event) -> UUID:
    """Returns the id of the event whose content the event has: its own, or that of the event that it corrects."""
    return UUID(event.content["event_id"]) if event.type == Correction.type_name else event.event_id


def derive_from_events(study_id: str, events: Sequence[Event]) -> StudySnapshot:
    """Returns the rows that the store's events alone give."""
    study_record = current_record(stated_facts([event for event in events if event.is_study_event]))
    participant_events = [event for event in standing_events(events) if not event.is_study_event]
    return derive_snapshot(
        StudyFacts(
            study_id=study_id,
            position=len(events),
            recorded_at=None,
            study=study_record,
            events=participant_events,
            excluded=frozenset(),
        )
    )


def compute_figures(snapshot: StudySnapshot, today: date) -> Mapping[str, Any]:
    """Returns every figure of the rows."""
    return {name: figure.compute(snapshot, Selection(today)).to_json() for name, figure in FIGURES.items()}
