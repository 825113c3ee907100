"""The benches run. How fast anything is, no test says."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path

import pytest

from bench.__main__ import BENCHES
from bench.pairs import Bench

ROOT = Path(__file__).parents[2]
KEPT = [ROOT / "bench" / "results.json", ROOT / "docs" / "performance.md"]
ENDS_WITHIN = 240.0  # seconds, on a machine that does other things too


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
async def test_every_bench_still_runs_and_says_each_of_its_ratios(bench: Bench) -> None:
    before = [file.read_bytes() if file.exists() else b"" for file in KEPT]
    code, said = await run_small(bench.name)
    assert code == 0, said
    for ratio in bench.ratios:
        line = next(line for line in said.splitlines() if line.startswith(f"{ratio.name} "))
        measured = float(line.removeprefix(ratio.name).split()[0])
        assert math.isfinite(measured)
        assert measured >= 0
    assert [file.read_bytes() if file.exists() else b"" for file in KEPT] == before, "a small run keeps nothing"


async def run_small(name: str) -> tuple[int | None, str]:
    argv = [sys.executable, "-m", "bench", name, "--small"]
    running = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(running.communicate(), ENDS_WITHIN)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return running.returncode, said.decode()


async def test_a_bench_that_does_not_exist_is_refused_by_name() -> None:
    code, said = await run_small("nonsense")
    assert code == 2
    assert "no such bench: nonsense" in said
