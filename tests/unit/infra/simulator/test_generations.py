"""An endless simulation: one generation of participants after the other."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from infra.simulator.participants import simulate_participant
from infra.simulator.run import simulate
from tests.unit.infra.conftest import FakeQuartal
from tests.unit.infra.simulator.support import (
    DAY_AFTER_ALL_FACTS,
    SEED,
    repeated_keys,
    run_simulation,
    simulation_plan,
    stop_after,
    token_for,
)

GENERATION = 5


def count_facts(participants: int, until: date = DAY_AFTER_ALL_FACTS) -> int:
    """Returns the number of facts of the first participants up to a day."""
    report_days = [day for index in range(participants) for day in simulate_participant(SEED, index).report_days]
    return sum(day <= until.isoformat() for day in report_days)


def facts_by_index(participants: int) -> Counter[int]:
    """Returns the number of facts of each of the first participants, by its index in the seed."""
    return Counter({index: len(simulate_participant(SEED, index).facts) for index in range(participants)})


def recorded_by_index(quartal: FakeQuartal) -> Counter[int]:
    """Returns the number of recorded facts of each participant, by its index in the seed."""
    index_of = {
        participant_id: int(key.split("/")[-2]) for key, participant_id in quartal.participant_ids_by_key.items()
    }
    return Counter(index_of[participant_id] for participant_id, _ in quartal.recorded_facts)


async def run_until_recorded(
    quartal: FakeQuartal, until: int, progress_file: Path | None = None, today: date = DAY_AFTER_ALL_FACTS
) -> list[str]:
    """Runs an endless simulation until so many facts of participants are recorded; returns the lines it reports."""
    lines: list[str] = []
    stop = stop_after(quartal, until)
    await run_simulation(
        quartal, GENERATION, today=today, stop=stop, lines=lines, progress_file=progress_file, endless=True
    )
    return lines


@pytest.fixture(scope="module")
async def three_generations() -> tuple[FakeQuartal, list[str]]:
    """Services with all facts of three generations, and the lines that the simulation reported."""
    quartal = FakeQuartal(DAY_AFTER_ALL_FACTS)
    return quartal, await run_until_recorded(quartal, count_facts(3 * GENERATION))


def test_next_generation_starts_when_all_facts_are_recorded(three_generations: tuple[FakeQuartal, list[str]]) -> None:
    quartal, lines = three_generations
    assert recorded_by_index(quartal) == facts_by_index(3 * GENERATION)
    order = [int(key.split("/")[-2]) // GENERATION for key in quartal.idempotency_keys if "/simulated/" in key]
    assert order == sorted(order)
    assert lines[0] == "demo-live: 5 simulated participants at a time at 8 sites"
    assert lines[1:3] == [f"demo-live: going on with participants {numbers}" for numbers in ("6 to 10", "11 to 15")]


async def test_restart_in_a_later_generation_resumes_without_repeating_requests(
    quartal: FakeQuartal, three_generations: tuple[FakeQuartal, list[str]], tmp_path: Path
) -> None:
    expected, progress_file = three_generations[0].recorded_facts, tmp_path / "progress.json"
    request_count = 0
    while len(quartal.recorded_facts) < len(expected):
        await run_until_recorded(quartal, min(len(quartal.recorded_facts) + 31, len(expected)), progress_file)
        assert repeated_keys(quartal, request_count) == []
        request_count = len(quartal.idempotency_keys)
    assert [name for _, name in quartal.recorded_facts] == [name for _, name in expected]


async def test_restart_without_progress_records_nothing_twice(quartal: FakeQuartal, tmp_path: Path) -> None:
    progress_file = tmp_path / "progress.json"
    await run_until_recorded(quartal, count_facts(GENERATION) + 17, progress_file)
    progress_file.write_text('{"order": "of an earlier version", "told": 30, "known": {}}')
    await run_until_recorded(quartal, count_facts(2 * GENERATION), progress_file)
    assert recorded_by_index(quartal) == facts_by_index(2 * GENERATION)


async def test_future_facts_do_not_block_and_are_recorded_on_their_day(quartal: FakeQuartal, tmp_path: Path) -> None:
    progress_file, day = tmp_path / "progress.json", date(2024, 4, 1)
    due = count_facts(2 * GENERATION, day)
    assert count_facts(GENERATION, day) < count_facts(GENERATION)
    await run_until_recorded(quartal, due, progress_file, today=day)
    assert recorded_by_index(quartal).total() == due
    assert max(recorded_by_index(quartal)) >= GENERATION
    while recorded_by_index(quartal).total() < count_facts(2 * GENERATION):
        await run_until_recorded(quartal, len(quartal.recorded_facts) + 31, progress_file)
    recorded = recorded_by_index(quartal)
    assert all(recorded[index] == number for index, number in facts_by_index(2 * GENERATION).items())


async def test_no_further_generation_starts_before_the_first_screening(quartal: FakeQuartal, tmp_path: Path) -> None:
    progress_file, stop, calls = tmp_path / "progress.json", asyncio.Event(), count()

    def today(_: str) -> date:
        stop.set()
        assert next(calls) < 10
        return date(2024, 1, 1)

    quartal.set_today(DAY_AFTER_ALL_FACTS)
    async with quartal.client() as client:
        await simulate(
            client,
            token_for,
            simulation_plan(GENERATION, endless=True),
            today=today,
            stop=stop,
            report=lambda _: None,
            progress_file=progress_file,
        )
    assert quartal.recorded_facts == []
    assert json.loads(progress_file.read_text())["begun"] == GENERATION


async def test_participant_that_a_newer_version_simulates_differently_is_skipped(
    quartal: FakeQuartal, tmp_path: Path
) -> None:
    progress_file = tmp_path / "progress.json"
    await run_simulation(quartal, GENERATION, stop=stop_after(quartal, 17), progress_file=progress_file)
    progress = json.loads(progress_file.read_text())
    before, (day, index, fact_index) = recorded_by_index(quartal), progress["ahead"][0]
    progress["ahead"][0] = [day, index, fact_index + 100]
    progress_file.write_text(json.dumps(progress))
    await run_simulation(quartal, GENERATION, progress_file=progress_file)
    assert recorded_by_index(quartal) == {**facts_by_index(GENERATION), index: before[index]}
