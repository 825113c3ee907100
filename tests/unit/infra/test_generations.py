"""A simulation without an end: one generation of participants after the other."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import date
from itertools import count
from pathlib import Path

from infra.simulator.patients import SITES, STUDY_ID, life
from infra.simulator.run import simulate
from tests.unit.infra.conftest import Quartal
from tests.unit.infra.test_simulator import FAST, LATE, asked_again, run, stop_after, token_for

GENERATION = 5


def facts(participants: int, until: date = LATE) -> int:
    """How many facts the first so many participants have up to a day."""
    return sum(day <= until.isoformat() for index in range(participants) for day in life(7, index).days)


def told(quartal: Quartal) -> Counter[int]:
    """How many facts were recorded of each participant, by the place in the seed."""
    index_of = {number: int(key.split("/")[-2]) for key, number in quartal.numbers.items()}
    return Counter(index_of[number] for number, _ in quartal.stated)


async def go_on(quartal: Quartal, until: int, kept_in: Path | None = None, today: date = LATE) -> list[str]:
    """Its lines, when so many facts of participants are recorded in all."""
    lines: list[str] = []
    stop = stop_after(quartal, until)
    await run(quartal, GENERATION, today=today, stop=stop, lines=lines, kept_in=kept_in, endless=True)
    return lines


async def test_when_all_of_a_generation_is_told_the_next_begins(quartal: Quartal) -> None:
    lines = await go_on(quartal, facts(3 * GENERATION))
    assert told(quartal) == {index: len(life(7, index).facts) for index in range(3 * GENERATION)}
    order = [int(key.split("/")[-2]) // GENERATION for key in quartal.keys if "/simulated/" in key]
    assert order == sorted(order)
    assert lines[0] == "demo-live: 5 simulated participants at a time at 8 sites"
    assert lines[1:3] == [f"demo-live: going on with participants {those}" for those in ("6 to 10", "11 to 15")]


async def test_interrupted_in_a_later_generation_it_goes_on_there_without_asking_for_what_was_told(
    quartal: Quartal, tmp_path: Path
) -> None:
    whole, kept_in, asked = Quartal(LATE), tmp_path / "told.json", 0
    await go_on(whole, facts(3 * GENERATION))
    while len(quartal.stated) < len(whole.stated):
        await go_on(quartal, min(len(quartal.stated) + 31, len(whole.stated)), kept_in)
        assert asked_again(quartal, asked) == []
        asked = len(quartal.keys)
    assert [name for _, name in quartal.stated] == [name for _, name in whole.stated]


async def test_with_its_progress_lost_it_begins_anew_and_states_nothing_twice(quartal: Quartal, tmp_path: Path) -> None:
    kept_in = tmp_path / "told.json"
    await go_on(quartal, facts(GENERATION) + 17, kept_in)
    kept_in.write_text('{"order": "of an earlier version", "told": 30, "known": {}}')
    await go_on(quartal, facts(2 * GENERATION), kept_in)
    assert told(quartal) == {index: len(life(7, index).facts) for index in range(2 * GENERATION)}


async def test_what_lies_ahead_keeps_nobody_waiting_and_is_told_when_its_day_has_come(
    quartal: Quartal, tmp_path: Path
) -> None:
    kept_in, day = tmp_path / "told.json", date(2024, 4, 1)
    due = facts(2 * GENERATION, day)
    assert facts(GENERATION, day) < facts(GENERATION)
    await go_on(quartal, due, kept_in, today=day)
    assert told(quartal).total() == due
    assert max(told(quartal)) >= GENERATION
    while told(quartal).total() < facts(2 * GENERATION):
        await go_on(quartal, len(quartal.stated) + 31, kept_in)
    lives = Counter({index: len(life(7, index).facts) for index in range(2 * GENERATION)})
    assert all(told(quartal)[index] == number for index, number in lives.items())


async def test_before_anybody_is_screened_no_generation_follows_another(quartal: Quartal, tmp_path: Path) -> None:
    kept_in, stop, looked = tmp_path / "told.json", asyncio.Event(), count()

    def today(_: str) -> date:
        stop.set()
        assert next(looked) < 10
        return date(2024, 1, 1)

    quartal.let_it_be(LATE)
    async with quartal.client() as client:
        await simulate(
            client, token_for, STUDY_ID, SITES, 7, FAST, GENERATION, today, stop, lambda _: None, kept_in, endless=True
        )
    assert quartal.stated == []
    assert json.loads(kept_in.read_text())["begun"] == GENERATION


async def test_a_life_that_a_newer_version_draws_otherwise_is_told_no_further(quartal: Quartal, tmp_path: Path) -> None:
    kept_in = tmp_path / "told.json"
    await run(quartal, GENERATION, stop=stop_after(quartal, 17), kept_in=kept_in)
    kept = json.loads(kept_in.read_text())
    before, (day, index, place) = told(quartal), kept["ahead"][0]
    kept["ahead"][0] = [day, index, place + 100]
    kept_in.write_text(json.dumps(kept))
    await run(quartal, GENERATION, kept_in=kept_in)
    lives = {other: len(life(7, other).facts) for other in range(GENERATION)}
    assert told(quartal) == {**lives, index: before[index]}
