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

import pytest
from asyncpg import Record

from infra.cli.demo import DEMO_CLOCK
from infra.local.ports import free_port
from infra.reference.study import STUDY_ID as REFERENCE
from shared.contracts.event import Event
from shared.testing.seeded_random import seeded_random
from tests.chaos.support.consistency_check import (
    CONSUMED_SERVICES,
    RECORDING_SERVICES,
    StoredStudy,
    compute_figures,
    derive_from_events,
    events_by_stream,
    standing_events,
)
from tests.chaos.support.processes import find_processes, kill, kill_demo
from tests.chaos.support.site_clients import CONCURRENT_PARTICIPANTS, STUDY_ID, TODAY, TRANSFERRED, SiteClients
from tests.demo import CHECKOUT, Demo
from tests.integration.support.snapshot_rows import decoded
from tests.polling import wait_until

PROCESS_PATTERNS = {
    "relay": r"\S*python\S* -m services\.enrollment worker",
    "toxicity": r"\S*python\S* -m services\.toxicity worker",
    "follow-up": r"\S*python\S* -m services\.followup worker",
    "projection": r"\S*python\S* -m services\.analytics worker",
    "deriver": r"\S*python\S* -m services\.analytics deriver",
    "web": r"\S*python\S* -m infra\.local\.single_port_app",
    "broker": r"\S*/java .* kafka\.Kafka ",
    "database": r"\S*/postgres -D |postgres: ",
}
RANDOM_SOURCE = seeded_random("kills")
RECOVERY_TIMEOUT_SECONDS, TEST_TIMEOUT_SECONDS = 60.0, 240.0  # seconds
_log = logging.getLogger(__name__)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    own_demo = Demo(tmp_path / "data", free_port(), settings={"QUARTAL_CLOCK": f"{DEMO_CLOCK},{STUDY_ID}={TODAY}"})
    try:
        await asyncio.to_thread(own_demo.start)
        yield own_demo
    finally:
        kill_demo(own_demo)


def random_fact_count() -> int:
    return RANDOM_SOURCE.randrange(20, 60)


def kill_process_group(demo: Demo, part: str) -> None:
    pids = [pid for pid, line in find_processes(demo.data).items() if re.match(PROCESS_PATTERNS[part], line)]
    assert pids, f"there is no {part} to kill"
    kill(sorted(pids))


async def kill_each_part(demo: Demo, clients: SiteClients, stored: StoredStudy) -> None:
    """Kills every part once while the sites report, and at last all of them and what watches over them."""
    for part in RANDOM_SOURCE.sample(sorted(PROCESS_PATTERNS), len(PROCESS_PATTERNS)):
        await clients.wait_for_responses(random_fact_count())
        kill_process_group(demo, part)
        reported_count, killed_at = (
            len(clients.event_ids) + CONCURRENT_PARTICIPANTS,
            time.monotonic(),
        )  # each may wait for one response
        await wait_until(partial(stored.has_derived, reported_count + 1), RECOVERY_TIMEOUT_SECONDS)
        _log.info(
            "%s: %d facts recorded; derived again after %.1f s", part, reported_count, time.monotonic() - killed_at
        )
    await clients.wait_for_responses(random_fact_count())
    await asyncio.to_thread(kill_demo, demo)
    await asyncio.to_thread(demo.start)
    await clients.wait_for_responses(random_fact_count())
    clients.stop()


async def test_every_fact_is_stored_once_after_kills_at_any_moment(demo: Demo) -> None:
    clients, stored = SiteClients(demo), StoredStudy(demo, STUDY_ID)
    flow_before = demo.figure("flow")
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS), clients.client:
        await clients.open()
        async with asyncio.TaskGroup() as meanwhile:
            meanwhile.create_task(clients.report())
            meanwhile.create_task(kill_each_part(demo, clients, stored))
    await wait_until(partial(stored.has_derived, len(clients.event_ids)), RECOVERY_TIMEOUT_SECONDS)
    events = await stored.recorded_events()
    assert sorted(str(event.event_id) for event in events) == clients.event_ids, "what was answered is what is recorded"
    assert all(has_each_version_once(stream) for stream in events_by_stream(events).values())
    assert {event.service for event in events} == set(RECORDING_SERVICES)
    await assert_services_agree(stored, events)
    await assert_current_sites_agree(stored, events)
    await assert_figures_match_store(demo, stored, events)
    assert demo.figure("flow") == flow_before, "the reference study is as it was"
    assert find_logged_secrets(demo) == []


def find_logged_secrets(demo: Demo) -> list[str]:
    """Names of the secrets that are found in what was logged of all this."""
    logs = b"".join(log.read_bytes() for log in (demo.data / "logs").iterdir())
    return [secret.name for secret in (demo.data / "secrets").iterdir() if secret.read_bytes().strip() in logs]


def has_each_version_once(stream: list[Event]) -> bool:
    return [event.version for event in stream] == list(range(1, len(stream) + 1))


async def assert_services_agree(stored: StoredStudy, events: list[Event]) -> None:
    """Asserts that the consumers have all streams to their ends and the same current facts, and that nothing waits."""
    for consumer, services in CONSUMED_SERVICES.items():
        consumed = [event for event in events if event.service in services]
        ends = {stream: len(stream_events) for stream, stream_events in events_by_stream(consumed).items()}
        await wait_until(partial(stored.has_reached, consumer, ends), RECOVERY_TIMEOUT_SECONDS)
        expected = {
            (event.stream_id, str(event.event_id)): event.stated_fact().fact for event in standing_events(consumed)
        }
        assert await stored.standing_facts(consumer) == expected, consumer
        assert await stored.count_stuck(consumer) == 0, consumer
    assert_journal_is_complete(await stored.journal_rows(), events)


def assert_journal_is_complete(journal: list[Record], events: list[Event]) -> None:
    """Asserts that the journal has each event once, in the order of its stream, at positions without a gap."""
    assert [row["position"] for row in journal] == list(range(1, len(events) + 1))
    applied_rows = [(row["source"], row["subject"], row["version"], row["event_id"].int) for row in journal]
    recorded_rows = sorted((event.source, event.stream_id, event.version, event.event_id.int) for event in events)
    assert sorted(applied_rows, key=lambda row: row[:2]) == recorded_rows, "each stream was applied in its order"


async def assert_current_sites_agree(stored: StoredStudy, events: list[Event]) -> None:
    """Checks that every service has each participant at the current site of enrollment, also after a transfer."""
    assert TRANSFERRED in {event.type for event in events}
    expected_sites = await stored.current_sites("enrollment")
    for consumer in CONSUMED_SERVICES:
        assert await stored.current_sites(consumer) == expected_sites, consumer


async def assert_figures_match_store(demo: Demo, stored: StoredStudy, events: list[Event]) -> None:
    """Asserts that figures equal those of the stored events, and that a rebuild gives the same tables."""
    tables = await stored.table_rows()
    rebuilt = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "infra.cli", "rebuild", "analytics"], cwd=CHECKOUT, env=demo.environment
    )
    assert rebuilt.returncode == 0
    assert await stored.table_rows() == tables
    computed_rows = derive_from_events(STUDY_ID, events)
    assert await stored.derived_rows() == decoded(computed_rows)
    computed_figures = compute_figures(computed_rows, date.fromisoformat(TODAY))
    assert computed_figures["flow"]["enrolled"] > 0
    for name, figure in computed_figures.items():
        served_figure = demo.figure(name, study=STUDY_ID)
        assert {member: served_figure[member] for member in figure} == figure
    assert demo.figure("flow", study=REFERENCE)["enrolled"] == 31
