"""One fact through the recorder, kept durably, against a plain INSERT of the same row."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

import asyncpg

from bench.ground import ground, spread
from bench.pairs import Bench, Measured, Pair, Ratio, Size, alternately
from infra.cli.environment import settings_of
from services.enrollment.judgement import judgements
from shared.eventstore.recorder import Recorder
from shared.eventstore.statement import Recording, Statement
from shared.kernel.fact import Fact
from shared.security.tenancy import open_pool
from shared.settings import Settings
from shared.testing.facts import ON_STUDY, granted, opened, procedure, site_activated
from shared.web.service import running

STUDY, SITE = "bench", "rome"
ADMINISTRATOR, STAFF = "administrator", "staff"
CONNECTIONS = 8
PLAIN = """
    create table plain (
        study_id text, stream_id text, version integer, event_id uuid, type text, schema_version integer, site_id text,
        data jsonb, sealed bytea, meta jsonb, recorded_at timestamptz, primary key (study_id, stream_id, version)
    )
"""
INSERT = "insert into plain values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())"
META = '{"recorded_by": "staff", "judged_by": {"study_version": 4}}'
RATIO = Ratio(
    "append",
    "one fact decided and appended (event, outbox row, idempotency row), 8 connections",
    "INSERT of the same row into a table with nothing but its primary key, and commit; 8 connections",
    "facts/s",
    0.60,
)


async def run(size: Size) -> Measured:
    facts = size.of(3_000, 40)
    async with ground(broker=False) as stack:
        settings = settings_of({**stack.environment, "QUARTAL_POOL_SIZE": str(CONNECTIONS)})
        async with (
            running("enrollment", settings, judgements, registers=True) as service,
            plain_rows(settings) as plain,
        ):
            ours = await on_study(service.recorder, size.of(1_000, 10))
            rounds = await alternately(size, lambda: ours.told(facts), lambda: spread(CONNECTIONS, plain.add, facts))
    return {RATIO.name: [Pair(*each) for each in rounds]}


@dataclass
class Participants:
    """People on study, and the recorder that is told more of them."""

    recorder: Recorder
    numbers: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    async def told(self, facts: int) -> float:
        """How many facts a second; like the plain rows, they are there before the clock runs."""
        self.facts = [procedure(random.randrange(300)) for _ in range(facts)]
        return await spread(CONNECTIONS, self.add, facts)

    async def enrol(self, _: int) -> None:
        self.numbers.append((await state(self.recorder, None, STAFF, *ON_STUDY)).stream_id)

    async def add(self, place: int) -> None:
        await state(self.recorder, random.choice(self.numbers), STAFF, self.facts[place], key=str(uuid4()))


async def on_study(recorder: Recorder, participants: int) -> Participants:
    opening = (opened(), granted(ADMINISTRATOR, "administrator"))
    await recorder.record(Statement(STUDY, STUDY, opening, ("", ""), ADMINISTRATOR, opens_study=True))
    await state(recorder, STUDY, ADMINISTRATOR, site_activated(SITE), granted(STAFF, "site", SITE))
    made = Participants(recorder)
    await spread(CONNECTIONS, made.enrol, participants)
    return made


async def state(recorder: Recorder, stream_id: str | None, by: str, *facts: Fact, key: str | None = None) -> Recording:
    request = (key or "").encode()
    return await recorder.record(Statement(STUDY, stream_id, facts, ("",) * len(facts), by, request, key))


@dataclass
class PlainRows:
    pool: asyncpg.Pool[Any]
    data: str = procedure(7).model_dump_json()
    versions: count[int] = field(default_factory=count)

    async def add(self, _: int) -> None:
        row = (STUDY, "K7F2-9QXA-3", next(self.versions), uuid4(), "procedure.performed", 1, SITE, self.data)
        await self.pool.execute(INSERT, *row, None, META)


@asynccontextmanager
async def plain_rows(settings: Settings) -> AsyncIterator[PlainRows]:
    """As the owner of the table, so that no row-level security and no trigger is in the way."""
    url = settings.database("enrollment", "owner")
    async with await open_pool(url, smallest=CONNECTIONS, largest=CONNECTIONS) as pool:
        await pool.execute(PLAIN)
        yield PlainRows(pool)


BENCH = Bench("append", (RATIO,), run)
