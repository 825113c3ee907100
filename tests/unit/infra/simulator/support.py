"""Runs of the simulator against `FakeQuartal`."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from infra.reference.study import subject
from infra.simulator.participants import SITES, STUDY_ID, simulate_participant
from infra.simulator.run import SimulationPlan, simulate
from tests.unit.infra.conftest import FakeQuartal

SEED = 7
FACTS_PER_SECOND = 1_000_000.0
DAY_AFTER_ALL_FACTS = date(2030, 1, 1)


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


def simulation_plan(
    participants: int,
    *,
    study_id: str = STUDY_ID,
    seed: int = SEED,
    rate: float = FACTS_PER_SECOND,
    endless: bool = False,
) -> SimulationPlan:
    return SimulationPlan(
        study_id=study_id, sites=SITES, seed=seed, participants=participants, rate=rate, endless=endless
    )


async def run_simulation(
    quartal: FakeQuartal,
    participants: int,
    *,
    seed: int = SEED,
    today: date = DAY_AFTER_ALL_FACTS,
    stop: asyncio.Event | None = None,
    lines: list[str] | None = None,
    study_id: str = STUDY_ID,
    progress_file: Path | None = None,
    endless: bool = False,
) -> int:
    quartal.set_today(today)
    output = [] if lines is None else lines
    async with quartal.client() as client, asyncio.timeout(120):
        return await simulate(
            client,
            token_for,
            simulation_plan(participants, study_id=study_id, seed=seed, endless=endless),
            today=lambda _: today,
            stop=stop or asyncio.Event(),
            report=output.append,
            progress_file=progress_file,
        )


def fact_count(participants: int, *, seed: int = SEED) -> int:
    """Returns the number of facts of the first participants of a seed."""
    return sum(len(simulate_participant(seed, index).facts) for index in range(participants))


def stop_after(quartal: FakeQuartal, facts: int) -> asyncio.Event:
    """An event that is set once so many participant facts are recorded."""
    stop = asyncio.Event()

    def count() -> None:
        if len(quartal.recorded_facts) >= facts:
            stop.set()

    quartal.on_recorded = count
    return stop


def repeated_keys(quartal: FakeQuartal, since: int) -> list[str]:
    """Keys of participants' facts that were sent before the request `since` and after it."""
    return [
        key
        for key in quartal.idempotency_keys[since:]
        if "/simulated/" in key and key in quartal.idempotency_keys[:since]
    ]
