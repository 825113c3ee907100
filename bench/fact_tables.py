"""`python -m bench.fact_tables [--small]`: compares one table for all kinds of facts with one table per kind.

Both hold the same facts of simulated participants, are written in batches of 500, each batch in a transaction of its
own, and are read as figures read them. docs/adr/0001-one-generic-fact-table.md cites the result.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from infra.local.postgres import LocalPostgres
from infra.postgres.roles import ROLES, ensure_databases
from infra.simulator.participants import simulate_participant
from shared.contracts.catalogue import PARTICIPANT
from shared.contracts.event import Event
from shared.inbox.standing_facts import apply_by_version
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.kernel.sealed_text import READING_STORED
from shared.postgres.migrations import migrate
from shared.runtime.service_process import INBOX
from shared.testing.builders.events import make_event

STUDY, BATCH_SIZE, ROUNDS, LAST_POSITION = "bench", 500, 8, 10**6
RECORDED_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
COMMON_COLUMNS = (
    "event_id uuid not null, study_id text not null, subject text not null, site_id text, version integer not null,"
    " recorded_at timestamptz not null, schema_version integer not null, from_position bigint not null,"
    " to_position bigint, primary key (event_id, from_position)"
)
STANDS_AT_POSITION = "study_id = $1 and from_position <= $2 and (to_position is null or to_position > $2)"
Connection: TypeAlias = "asyncpg.Connection[Any]"
BenchStep = Callable[[Connection, Any], Awaitable[object]]


@dataclass(frozen=True)
class FactTable:
    """The table of one kind of fact: a column for each member, of type jsonb where the member has a structure."""

    fact: type[Fact]

    @property
    def table(self) -> str:
        return self.fact.type_name.replace(".", "_")

    @cached_property
    def columns(self) -> dict[str, str]:
        members = self.fact.model_json_schema(mode="serialization")["properties"]
        return {name: _SQL_TYPES.get(member.get("type", ""), "jsonb") for name, member in members.items()}

    def create_statement(self) -> str:
        own_columns = ", ".join(f"member_{name} {kind}" for name, kind in self.columns.items())
        return (
            f"create table {self.table} ({COMMON_COLUMNS}, {own_columns});"
            f"create unique index {self.table}_live on {self.table} (event_id) where to_position is null;"
            f"create index {self.table}_subject on {self.table} (study_id, subject, version) where to_position is null;"
            f"create index {self.table}_position on {self.table} (study_id, from_position)"
        )

    @cached_property
    def insert_statement(self) -> str:
        types = ["uuid", "text", "text", "text", "integer", "timestamptz", "integer", "bigint"]
        own_types = ["text" if kind == "jsonb" else kind for kind in self.columns.values()]
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate([*types, *own_types], 1))
        column_names = [f"member_{name}" for name in self.columns]
        column_values = [
            f"{name}::jsonb" if kind == "jsonb" else name
            for name, kind in zip(column_names, self.columns.values(), strict=True)
        ]
        common_columns = "event_id, study_id, subject, site_id, version, recorded_at, schema_version, from_position"
        target, source_columns = (
            f"{self.table} ({', '.join([common_columns, *column_names])})",
            ", ".join([common_columns, *column_names]),
        )
        values = ", ".join([common_columns, *column_values])
        return f"insert into {target} select {values} from unnest({arrays}) as event ({source_columns})"  # noqa: S608 - our names

    def row(self, event: Event) -> tuple[Any, ...]:
        content = json.loads(event.data)
        own_values = [
            json.dumps(content[name]) if kind == "jsonb" else content[name] for name, kind in self.columns.items()
        ]
        return (
            event.event_id,
            event.study_id,
            event.stream_id,
            event.site_id,
            event.version,
            event.recorded_at,
            event.schema_version,
            event.version,
            *own_values,
        )


_SQL_TYPES = {"string": "text", "integer": "bigint", "number": "float8", "boolean": "boolean", "null": "text"}
FACT_TABLES = {name: FactTable(fact) for name, fact in PARTICIPANT.declared_facts.items()}


def simulate_events(number: int) -> list[Event]:
    def generate_events() -> Iterator[Event]:
        for index in count():
            simulated, subject = simulate_participant(1, index), new_participant_id()
            for version, fact_json in enumerate(simulated.facts_of_service("enrollment"), 1):
                fact = PARTICIPANT.facts[fact_json["type"]].model_validate(fact_json["data"])
                yield make_event(
                    fact,
                    version,
                    study_id=STUDY,
                    stream_id=subject,
                    site_id=simulated.site.site_id,
                    recorded_at=RECORDED_AT,
                )

    return list(islice(generate_events(), number))


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    return (events[start : start + BATCH_SIZE] for start in range(0, len(events), BATCH_SIZE))


async def write_generic(connection: Connection, events: Sequence[Event]) -> None:
    for batch in _batches(events):
        async with connection.transaction():
            await apply_by_version(connection, batch)


async def write_by_kind(connection: Connection, events: Sequence[Event]) -> None:
    for batch in _batches(events):
        by_kind: dict[str, list[Event]] = defaultdict(list)
        for event in batch:
            by_kind[event.type].append(event)
        async with connection.transaction():
            for name, events_of_kind in by_kind.items():
                rows = [FACT_TABLES[name].row(event) for event in events_of_kind]
                await connection.execute(FACT_TABLES[name].insert_statement, *map(list, zip(*rows, strict=True)))


async def read_generic(connection: Connection, kinds: Sequence[str]) -> int:
    """Returns the number of facts that are current at LAST_POSITION, read from the one table."""
    query = f"select type, schema_version, data from fact where {STANDS_AT_POSITION} and type = any($3)"  # noqa: S608 - constants
    rows = await connection.fetch(query, STUDY, LAST_POSITION, list(kinds))
    return len([PARTICIPANT.read(row["type"], row["schema_version"], row["data"]) for row in rows])


async def read_by_kind(connection: Connection, kinds: Sequence[str]) -> int:
    facts: list[Fact] = []
    for kind in (FACT_TABLES[name] for name in kinds):
        members = ", ".join(f"member_{name} as {name}" for name in kind.columns)
        query = f"select {members} from {kind.table} where {STANDS_AT_POSITION}"  # noqa: S608 - names of our own classes
        rows = await connection.fetch(query, STUDY, LAST_POSITION)
        structured = [name for name, sql_type in kind.columns.items() if sql_type == "jsonb"]
        for row in rows:
            content = dict(row) | {name: json.loads(row[name] or "null") for name in structured}
            facts.append(kind.fact.model_validate_json(json.dumps(content), context=READING_STORED))
    return len(facts)


async def time_seconds(step: Awaitable[object]) -> float:
    started_at = time.perf_counter()
    await step
    return time.perf_counter() - started_at


async def measure_round(
    connection: Connection, events: Sequence[Event], *, reverse_order: bool
) -> dict[str, tuple[float, float]]:
    """Returns the seconds of (the one table, the tables per kind) by step; all tables are empty at the start.

    With `reverse_order` the tables per kind come first.
    """
    await connection.execute(f"truncate fact, subject_site, {', '.join(kind.table for kind in FACT_TABLES.values())}")
    measured = {"write": await measure_both(write_generic, write_by_kind, connection, events, reverse_order)}
    await connection.execute("vacuum analyze")
    all_kinds, single_kind = list(FACT_TABLES), ["participant.enrolled"]
    assert await read_generic(connection, all_kinds) == await read_by_kind(connection, all_kinds) == len(events)
    measured["read all"] = await measure_both(read_generic, read_by_kind, connection, all_kinds, reverse_order)
    measured["read one kind"] = await measure_both(read_generic, read_by_kind, connection, single_kind, reverse_order)
    return measured


async def measure_both(
    generic_step: BenchStep, by_kind_step: BenchStep, connection: Connection, argument: Any, reverse_order: bool
) -> tuple[float, float]:
    if reverse_order:
        by_kind_seconds = await time_seconds(by_kind_step(connection, argument))
        return await time_seconds(generic_step(connection, argument)), by_kind_seconds
    return await time_seconds(generic_step(connection, argument)), await time_seconds(
        by_kind_step(connection, argument)
    )


async def table_sizes(connection: Connection) -> tuple[int, int]:
    """Returns the bytes of (the one table, the tables per kind), with indexes."""
    query = "select sum(pg_total_relation_size(name::regclass)) from unnest($1::text[]) as name"
    by_kind = [kind.table for kind in FACT_TABLES.values()]
    return int(await connection.fetchval(query, ["fact"])), int(await connection.fetchval(query, by_kind))


async def measure(server: LocalPostgres, number: int) -> None:
    urls = await ensure_databases(server.url(), dict.fromkeys(ROLES, "bench"))
    roles = {purpose: f"quartal_analytics_{purpose}" for purpose in ("app", "system")}
    await migrate(urls["QUARTAL_ANALYTICS_OWNER_URL"], [INBOX], roles)
    connection = await asyncpg.connect(server.url("quartal_analytics"))
    for kind in FACT_TABLES.values():
        await connection.execute(kind.create_statement())
    events = simulate_events(number)
    rounds = [await measure_round(connection, events, reverse_order=bool(index % 2)) for index in range(ROUNDS)]
    print(f"{number} facts of {len(FACT_TABLES)} kinds, {ROUNDS} rounds: median seconds, one table / a table per kind")
    for name in rounds[0]:
        generic, by_kind = (
            statistics.median(measured_round[name][side] for measured_round in rounds) for side in (0, 1)
        )
        ratios = sorted(measured_round[name][0] / measured_round[name][1] for measured_round in rounds)
        ratio_range = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:14} {generic:7.3f} / {by_kind:7.3f}   ratio {ratio_range}")
    print("bytes with indexes: {:,} / {:,}".format(*await table_sizes(connection)))
    await connection.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, LocalPostgres(Path(folder)) as server:
        asyncio.run(measure(server, 2_000 if "--small" in sys.argv else 100_000))


if __name__ == "__main__":
    main()
