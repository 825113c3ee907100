"""Measures one fact through the command handler against a plain INSERT of the same row; both are durable."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

import asyncpg

from bench.environment import bench_environment, run_concurrently
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.cli.settings_source import read_settings
from services.enrollment.stream_policy import stream_policies
from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.command_handler import CommandHandler
from shared.kernel.fact import Fact
from shared.postgres.tenancy import open_pool
from shared.settings import Settings
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    member_granted,
    procedure_performed,
    site_activated,
    study_opened,
)
from shared.web.service import open_service

STUDY, SITE = "bench", "rome"
ADMINISTRATOR, STAFF = "administrator", "staff"
CONNECTIONS = 8
CREATE_PLAIN_TABLE = """
    create table plain (
        study_id text, stream_id text, version integer, event_id uuid, type text, schema_version integer, site_id text,
        data jsonb, sealed bytea, meta jsonb, recorded_at timestamptz, primary key (study_id, stream_id, version)
    )
"""
INSERT = "insert into plain values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())"
META = '{"recorded_by": "staff", "judged_by": {"study_version": 4}}'
RATIO = Ratio(
    name="append",
    ours="one fact decided and appended (event, outbox row, idempotency row), 8 connections",
    against="INSERT of the same row into a table with nothing but its primary key, and commit; 8 connections",
    unit="facts/s",
    goal=0.60,
)


async def run(size: Size) -> Measurements:
    facts = size.choose(3_000, 40)
    async with bench_environment(broker=False) as stack:
        settings = read_settings({**stack.environment, "QUARTAL_POOL_SIZE": str(CONNECTIONS)})
        async with (
            open_service("enrollment", settings, stream_policies, owns_participants=True) as service,
            plain_rows(settings) as plain,
        ):
            participants = await enroll_participants(service.command_handler, size.choose(1_000, 10))
            rounds = await run_alternately(
                size,
                lambda: participants.measure_rate(facts),
                lambda: run_concurrently(CONNECTIONS, plain.add_row, facts),
            )
    return {RATIO.name: [Pair(*round_rates) for round_rates in rounds]}


@dataclass
class EnrolledParticipants:
    """Enrolled participants, and the command handler that records further facts of them."""

    handler: CommandHandler
    participant_ids: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    async def measure_rate(self, facts: int) -> float:
        """Returns facts per second. The facts are made before the clock starts, as the plain rows are."""
        self.facts = [procedure_performed(random.randrange(300)) for _ in range(facts)]
        return await run_concurrently(CONNECTIONS, self.add_fact, facts)

    async def enroll(self, _: int) -> None:
        self.participant_ids.append((await record_facts(self.handler, None, STAFF, *ENROLLMENT_FACTS)).stream_id)

    async def add_fact(self, index: int) -> None:
        await record_facts(
            self.handler, random.choice(self.participant_ids), STAFF, self.facts[index], key=str(uuid4())
        )


async def enroll_participants(handler: CommandHandler, participants: int) -> EnrolledParticipants:
    opening = (study_opened(), member_granted(ADMINISTRATOR, "administrator"))
    await handler.record(
        RecordFacts(
            study_id=STUDY, stream_id=STUDY, facts=opening, pointers=("", ""), member=ADMINISTRATOR, opens_study=True
        )
    )
    await record_facts(handler, STUDY, ADMINISTRATOR, site_activated(SITE), member_granted(STAFF, "site", SITE))
    enrolled = EnrolledParticipants(handler)
    await run_concurrently(CONNECTIONS, enrolled.enroll, participants)
    return enrolled


async def record_facts(
    handler: CommandHandler, stream_id: str | None, member: str, *facts: Fact, key: str | None = None
) -> RecordedFacts:
    request = (key or "").encode()
    return await handler.record(
        RecordFacts(
            study_id=STUDY,
            stream_id=stream_id,
            facts=facts,
            pointers=("",) * len(facts),
            member=member,
            request=request,
            key=key,
        )
    )


@dataclass
class PlainRows:
    pool: asyncpg.Pool[Any]
    data: str = procedure_performed(7).model_dump_json()
    versions: count[int] = field(default_factory=count)

    async def add_row(self, _: int) -> None:
        row = (STUDY, "K7F2-9QXA-3", next(self.versions), uuid4(), "procedure.performed", 1, SITE, self.data)
        await self.pool.execute(INSERT, *row, None, META)


@asynccontextmanager
async def plain_rows(settings: Settings) -> AsyncIterator[PlainRows]:
    """Creates the plain table, as its owner: neither row-level security nor a trigger takes part."""
    url = settings.database_url("enrollment", "owner")
    async with await open_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute(CREATE_PLAIN_TABLE)
        yield PlainRows(pool)


BENCH = Bench("append", (RATIO,), run)
