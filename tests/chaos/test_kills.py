"""Sites go on reporting while every part of the system is killed, one after the other and all at once."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from pathlib import Path
from random import Random

import pytest
from asyncpg import Record

from infra.cli.demo import CLOCK
from infra.local.ports import free_port
from infra.reference.study import STUDY_ID as REFERENCE
from shared.contracts.event import Event
from tests.chaos.books import CONSUMERS, RECORDING, Books, computed_afresh, standing_now, streams, until
from tests.chaos.processes import kill, kill_all_of, processes_of
from tests.chaos.sites import AT_ONCE, STUDY_ID, TODAY, TRANSFERRED, Reporting
from tests.demo import CHECKOUT, Demo

PARTS = {
    "relay": r"\S*python\S* -m services\.enrollment worker",
    "toxicity": r"\S*python\S* -m services\.toxicity worker",
    "follow-up": r"\S*python\S* -m services\.followup worker",
    "projection": r"\S*python\S* -m services\.analytics worker",
    "web": r"\S*python\S* -m infra\.local\.web",
    "broker": r"\S*/java .* kafka\.Kafka ",
    "database": r"\S*/postgres -D |postgres: ",
}
MOMENTS = Random("kills")  # noqa: S311 - when to kill is no secret
RECOVERS_WITHIN, ALL_WITHIN = 60.0, 240.0  # seconds
_log = logging.getLogger(__name__)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    own = Demo(tmp_path / "data", free_port(), settings={"QUARTAL_CLOCK": f"{CLOCK},{STUDY_ID}={TODAY}"})
    try:
        await asyncio.to_thread(own.start)
        yield own
    finally:
        kill_all_of(own)


def a_few() -> int:
    return MOMENTS.randrange(20, 60)


def kill_part(demo: Demo, part: str) -> None:
    pids = [pid for pid, line in processes_of(demo.data).items() if re.match(PARTS[part], line)]
    assert pids, f"there is no {part} to kill"
    kill(sorted(pids))


async def afflicted(demo: Demo, reporting: Reporting, books: Books) -> None:
    """Kill every part once while the sites report, and at last all of them and what watches over them."""
    for part in MOMENTS.sample(sorted(PARTS), len(PARTS)):
        await reporting.further(a_few())
        kill_part(demo, part)
        told, killed = len(reporting.events) + AT_ONCE, time.monotonic()  # each may wait for one answer
        await until(partial(books.has, told + 1), RECOVERS_WITHIN)
        _log.info("%s: %d facts told; projected again after %.1f s", part, told, time.monotonic() - killed)
    await reporting.further(a_few())
    await asyncio.to_thread(kill_all_of, demo)
    await asyncio.to_thread(demo.start)
    await reporting.further(a_few())
    reporting.end()


async def test_killed_at_any_moment_and_started_again_it_has_every_fact_once(demo: Demo) -> None:
    reporting, books = Reporting(demo), Books(demo, STUDY_ID)
    before = demo.figure("flow")
    async with asyncio.timeout(ALL_WITHIN), reporting.client:
        await reporting.open()
        async with asyncio.TaskGroup() as meanwhile:
            meanwhile.create_task(reporting.report())
            meanwhile.create_task(afflicted(demo, reporting, books))
    await until(partial(books.has, len(reporting.events)), RECOVERS_WITHIN)
    events = await books.recorded()
    assert sorted(str(event.event_id) for event in events) == reporting.events, "what was answered is what is recorded"
    assert all(each_version_once(stream) for stream in streams(events).values())
    assert {event.service for event in events} == set(RECORDING)
    await the_books_agree(books, events)
    await everybody_is_seen_where_they_are(books, events)
    await the_figures_are_those_of_the_store(demo, books, events)
    assert demo.figure("flow") == before, "the reference study is as it was"
    assert logged_secrets(demo) == []


def logged_secrets(demo: Demo) -> list[str]:
    """Names of the secrets that are found in what was logged of all this."""
    logs = b"".join(log.read_bytes() for log in (demo.data / "logs").iterdir())
    return [secret.name for secret in (demo.data / "secrets").iterdir() if secret.read_bytes().strip() in logs]


def each_version_once(stream: list[Event]) -> bool:
    return [event.version for event in stream] == list(range(1, len(stream) + 1))


async def the_books_agree(books: Books, events: list[Event]) -> None:
    """Every consumer has every stream to its end and takes the same facts to stand; nothing waits for anybody."""
    for consumer, services in CONSUMERS.items():
        heard = [event for event in events if event.service in services]
        ends = {stream: len(told) for stream, told in streams(heard).items()}
        await until(partial(books.is_at, consumer, ends), RECOVERS_WITHIN)
        stands = {(event.stream_id, str(event.event_id)): event.stated().fact for event in standing_now(heard)}
        assert await books.stands(consumer) == stands, consumer
        assert await books.stuck(consumer) == 0, consumer
    the_journal_has(await books.journal(), events)


def the_journal_has(journal: list[Record], events: list[Event]) -> None:
    """Every event once, each stream in its order, at positions without a gap."""
    assert [row["position"] for row in journal] == list(range(1, len(events) + 1))
    applied = [(row["source"], row["subject"], row["version"], row["event_id"].int) for row in journal]
    recorded = sorted((event.source, event.stream_id, event.version, event.event_id.int) for event in events)
    assert sorted(applied, key=lambda row: row[:2]) == recorded, "each stream was applied in its order"


async def everybody_is_seen_where_they_are(books: Books, events: list[Event]) -> None:
    """Where enrollment has a participant, there every service shows the participant, also who was handed over."""
    assert TRANSFERRED in {event.type for event in events}
    present = await books.sites("enrollment")
    for consumer in CONSUMERS:
        assert await books.sites(consumer) == present, consumer


async def the_figures_are_those_of_the_store(demo: Demo, books: Books, events: list[Event]) -> None:
    """Also after the tables were made anew, which are then the same row by row."""
    tables = await books.tables()
    rebuilt = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "infra.cli", "rebuild", "analytics"], cwd=CHECKOUT, env=demo.environment
    )
    assert rebuilt.returncode == 0
    assert await books.tables() == tables
    computed = computed_afresh(STUDY_ID, events, date.fromisoformat(TODAY))
    assert computed["flow"]["enrolled"] > 0
    for name, figure in computed.items():
        shown = demo.figure(name, study=STUDY_ID)
        assert {member: shown[member] for member in figure} == figure
    assert demo.figure("flow", study=REFERENCE)["enrolled"] == 31
