"""The benches run, but for those that take long. How fast anything is, no test says."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path

import pytest

from bench.__main__ import BENCHES
from bench.ratio import Bench

ROOT = Path(__file__).parents[2]
RESULT_FILES = [ROOT / "bench" / "results.json", ROOT / "docs" / "performance.md"]
LEFT_OUT = {"end-to-end", "fairness", "live-page", "projection", "fan-out", "figures", "rebuild"}
"""Benches that start every process, or fill large studies, for 20 seconds and more each. `make bench` runs them."""
SMALL_BENCHES = [bench for bench in BENCHES if bench.name not in LEFT_OUT]
RUN_TIMEOUT_SECONDS = 480.0  # seconds, on a machine that does other things too


@pytest.fixture(scope="module")
async def output() -> str:
    """The output of a small run of the benches, one after the other in one process."""
    before = [file.read_bytes() if file.exists() else b"" for file in RESULT_FILES]
    code, output = await run_benches(*(bench.name for bench in SMALL_BENCHES))
    assert code == 0, output
    assert [file.read_bytes() if file.exists() else b"" for file in RESULT_FILES] == before, "a small run keeps nothing"
    return output


@pytest.mark.parametrize("bench", SMALL_BENCHES, ids=lambda bench: bench.name)
def test_bench_runs_and_prints_each_of_its_ratios(bench: Bench, output: str) -> None:
    for ratio in bench.ratios:
        line = next(line for line in output.splitlines() if line.startswith(f"{ratio.name} "))
        if ratio.needs and "not measured" in line:
            continue
        measured = float(line.removeprefix(ratio.name).split()[0])
        assert math.isfinite(measured)
        assert measured >= 0


async def run_benches(*names: str) -> tuple[int | None, str]:
    argv = [sys.executable, "-m", "bench", *names, "--small"]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), RUN_TIMEOUT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()


async def test_unknown_bench_is_rejected_by_name() -> None:
    code, output = await run_benches("nonsense")
    assert code == 2
    assert "no such bench: nonsense" in output
