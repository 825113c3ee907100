"""`python -m bench.fact_tables [--small]`: one table for every kind of fact, against one table per kind.

Both hold the same facts of simulated lives, are written in batches of 500, each batch in a transaction of its own, and
are read as figures read them. What docs/adr/0001-one-generic-fact-table.md says is measured here.
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
from infra.simulator.patients import life
from shared.contracts.catalogue import PARTICIPANT
from shared.contracts.event import Event
from shared.eventstore.migrate import migrate
from shared.inbox.facts import state_by_version
from shared.kernel.fact import Fact
from shared.kernel.ids import new_event_id, new_participant_id
from shared.kernel.sealed import STORED
from shared.process import INBOX

STUDY, AT_ONCE, ROUNDS, LAST = "bench", 500, 8, 10**6
RECORDED_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
COMMON = (
    "event_id uuid not null, study_id text not null, subject text not null, site_id text, version integer not null,"
    " recorded_at timestamptz not null, schema_version integer not null, from_position bigint not null,"
    " to_position bigint, primary key (event_id, from_position)"
)
STANDS = "study_id = $1 and from_position <= $2 and (to_position is null or to_position > $2)"
Connection: TypeAlias = "asyncpg.Connection[Any]"
Step = Callable[[Connection, Any], Awaitable[object]]


@dataclass(frozen=True)
class Kind:
    """A kind's own table: a column for each member, jsonb where the member has a structure."""

    fact: type[Fact]

    @property
    def table(self) -> str:
        return self.fact.type_name.replace(".", "_")

    @cached_property
    def columns(self) -> dict[str, str]:
        members = self.fact.model_json_schema(mode="serialization")["properties"]
        return {name: _SQL_TYPES.get(member.get("type", ""), "jsonb") for name, member in members.items()}

    def ddl(self) -> str:
        own = ", ".join(f"said_{name} {kind}" for name, kind in self.columns.items())
        return (
            f"create table {self.table} ({COMMON}, {own});"
            f"create unique index {self.table}_live on {self.table} (event_id) where to_position is null;"
            f"create index {self.table}_subject on {self.table} (study_id, subject, version) where to_position is null;"
            f"create index {self.table}_position on {self.table} (study_id, from_position)"
        )

    @cached_property
    def insert(self) -> str:
        types = ["uuid", "text", "text", "text", "integer", "timestamptz", "integer", "bigint"]
        own = ["text" if kind == "jsonb" else kind for kind in self.columns.values()]
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate([*types, *own], 1))
        named = [f"said_{name}" for name in self.columns]
        said = [
            f"{name}::jsonb" if kind == "jsonb" else name
            for name, kind in zip(named, self.columns.values(), strict=True)
        ]
        shared = "event_id, study_id, subject, site_id, version, recorded_at, schema_version, from_position"
        into, told = f"{self.table} ({', '.join([shared, *named])})", ", ".join([shared, *named])
        return f"insert into {into} select {', '.join([shared, *said])} from unnest({arrays}) as told ({told})"  # noqa: S608 - our names

    def row(self, event: Event) -> tuple[Any, ...]:
        told = json.loads(event.data)
        own = [json.dumps(told[name]) if kind == "jsonb" else told[name] for name, kind in self.columns.items()]
        return (
            event.event_id, event.study_id, event.stream_id, event.site_id, event.version, event.recorded_at,
            event.schema_version, event.version, *own,
        )  # fmt: skip


_SQL_TYPES = {"string": "text", "integer": "bigint", "number": "float8", "boolean": "boolean", "null": "text"}
KINDS = {name: Kind(fact) for name, fact in PARTICIPANT.declared.items()}


def facts(number: int) -> list[Event]:
    def told() -> Iterator[Event]:
        for index in count():
            lived, subject = life(1, index), new_participant_id()
            for version, said in enumerate(lived.of("enrollment"), 1):
                fact = PARTICIPANT.facts[said["type"]].model_validate(said["data"])
                yield Event(
                    STUDY, "enrollment", subject, version, new_event_id(), fact.type_name, fact.schema_version,
                    lived.site.site_id, fact.model_dump_json(), RECORDED_AT,
                )  # fmt: skip

    return list(islice(told(), number))


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    return (events[start : start + AT_ONCE] for start in range(0, len(events), AT_ONCE))


async def write_generic(connection: Connection, events: Sequence[Event]) -> None:
    for batch in _batches(events):
        async with connection.transaction():
            await state_by_version(connection, batch)


async def write_by_kind(connection: Connection, events: Sequence[Event]) -> None:
    for batch in _batches(events):
        by_kind: dict[str, list[Event]] = defaultdict(list)
        for event in batch:
            by_kind[event.type].append(event)
        async with connection.transaction():
            for name, told in by_kind.items():
                rows = [KINDS[name].row(event) for event in told]
                await connection.execute(KINDS[name].insert, *map(list, zip(*rows, strict=True)))


async def read_generic(connection: Connection, kinds: Sequence[str]) -> int:
    """Those that stand at a position, as facts."""
    asked = f"select type, schema_version, data from fact where {STANDS} and type = any($3)"  # noqa: S608 - constants
    rows = await connection.fetch(asked, STUDY, LAST, list(kinds))
    return len([PARTICIPANT.read(row["type"], row["schema_version"], row["data"]) for row in rows])


async def read_by_kind(connection: Connection, kinds: Sequence[str]) -> int:
    read: list[Fact] = []
    for kind in (KINDS[name] for name in kinds):
        members = ", ".join(f"said_{name} as {name}" for name in kind.columns)
        asked = f"select {members} from {kind.table} where {STANDS}"  # noqa: S608 - names of our own classes
        rows = await connection.fetch(asked, STUDY, LAST)
        structured = [name for name, said in kind.columns.items() if said == "jsonb"]
        for row in rows:
            told = dict(row) | {name: json.loads(row[name] or "null") for name in structured}
            read.append(kind.fact.model_validate_json(json.dumps(told), context=STORED))
    return len(read)


async def seconds(step: Awaitable[object]) -> float:
    start = time.perf_counter()
    await step
    return time.perf_counter() - start


async def one_round(connection: Connection, events: Sequence[Event], *, turned: bool) -> dict[str, tuple[float, float]]:
    """Seconds of (the one table, a table per kind), both empty before; `turned`: the tables per kind come first."""
    await connection.execute(f"truncate fact, subject_site, {', '.join(kind.table for kind in KINDS.values())}")
    measured = {"write": await both(write_generic, write_by_kind, connection, events, turned)}
    await connection.execute("vacuum analyze")
    every, one = list(KINDS), ["participant.enrolled"]
    assert await read_generic(connection, every) == await read_by_kind(connection, every) == len(events)
    measured["read all"] = await both(read_generic, read_by_kind, connection, every, turned)
    measured["read one kind"] = await both(read_generic, read_by_kind, connection, one, turned)
    return measured


async def both(one: Step, many: Step, connection: Connection, given: Any, turned: bool) -> tuple[float, float]:
    if turned:
        late = await seconds(many(connection, given))
        return await seconds(one(connection, given)), late
    return await seconds(one(connection, given)), await seconds(many(connection, given))


async def sizes(connection: Connection) -> tuple[int, int]:
    """Bytes with indexes."""
    of_table = "select sum(pg_total_relation_size(name::regclass)) from unnest($1::text[]) as name"
    by_kind = [kind.table for kind in KINDS.values()]
    return int(await connection.fetchval(of_table, ["fact"])), int(await connection.fetchval(of_table, by_kind))


async def measure(server: LocalPostgres, number: int) -> None:
    urls = await ensure_databases(server.url(), dict.fromkeys(ROLES, "bench"))
    roles = {purpose: f"quartal_analytics_{purpose}" for purpose in ("app", "system")}
    await migrate(urls["QUARTAL_ANALYTICS_OWNER_URL"], [INBOX], roles)
    connection = await asyncpg.connect(server.url("quartal_analytics"))
    for kind in KINDS.values():
        await connection.execute(kind.ddl())
    told = facts(number)
    rounds = [await one_round(connection, told, turned=bool(place % 2)) for place in range(ROUNDS)]
    print(f"{number} facts of {len(KINDS)} kinds, {ROUNDS} rounds: median seconds, one table / a table per kind")
    for name in rounds[0]:
        one, many = (statistics.median(each[name][place] for each in rounds) for place in (0, 1))
        ratios = sorted(each[name][0] / each[name][1] for each in rounds)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:14} {one:7.3f} / {many:7.3f}   ratio {spread}")
    print("bytes with indexes: {:,} / {:,}".format(*await sizes(connection)))
    await connection.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, LocalPostgres(Path(folder)) as server:
        asyncio.run(measure(server, 2_000 if "--small" in sys.argv else 100_000))


if __name__ == "__main__":
    main()
