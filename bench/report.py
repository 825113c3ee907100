"""What was measured, kept in `results.json` and shown as a table in `docs/performance.md`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.pairs import Bench, Measured, Pair, Ratio, median_and_spread
from infra.local.kafka_home import VERSION as KAFKA
from infra.local.postgres import find_binaries
from shared.kernel.clock import Clock

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
_INTRODUCTION = """# Performance

Machines differ, and are noisy. So what is promised is a **ratio** of two things that run alternately on one machine:
ours, and the least that could do the same. Each row is the median of at least five pairs, with the least and the
greatest ratio beside it. `make bench` measures all of them and writes this page; `python -m bench append api` measures
some; `--small` is for seeing that they run, and writes nothing.
"""
_READING = """
A goal is a lower bound for rates and an upper bound for times. *worse than half*: a rate below half of its goal, or a
time above twice its goal.
PostgreSQL is durable in every bench (fsync on, commits are waited for), Kafka acknowledges by `acks=all`. A load above
the number of cores says that the machine had other work at the time: the spread shows what that does, and such a row
should be measured again before anything is concluded from it.
"""


def said(ratio: Ratio, pairs: Sequence[Pair]) -> str:
    middle, least, greatest = median_and_spread(pairs)
    ours, reference = _typical(pairs)
    bound = "at most" if ratio.most else "at least"
    return (
        f"{ratio.name:30} {middle:6.2f} ({least:.2f} to {greatest:.2f}), {bound} {ratio.goal:g} wanted: "
        f"{_verdict(ratio, middle)}; {ours:,.4g} against {reference:,.4g} {ratio.unit}"
    )


def keep(bench: Bench, measured: Measured, load: float) -> None:
    """Replace what `results.json` has of that bench; `load` is what the machine had to do when it began."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    ratios = kept.setdefault("ratios", {})
    for ratio in bench.ratios:
        pairs = [[each.ours, each.reference] for each in measured[ratio.name]]
        on = Clock().now().date().isoformat()
        ratios[ratio.name] = {"unit": ratio.unit, "goal": ratio.goal, "measured_on": on, "load": load, "pairs": pairs}
    RESULTS.write_text(json.dumps({"machine": machine(), "ratios": ratios}, indent=1) + "\n")


def machine() -> dict[str, str | int]:
    return {
        "cores": os.cpu_count() or 0,
        "system": platform.system(),
        "python": platform.python_version(),
        "kafka": KAFKA,
        "postgres": _postgres(),
    }


def _postgres() -> str:
    said = subprocess.run([find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


def write_page(benches: Sequence[Bench]) -> None:
    """The page, from everything that `results.json` has."""
    kept = json.loads(RESULTS.read_text())
    lines = [_INTRODUCTION, *_table(benches, kept["ratios"]), _READING, _facts(kept["machine"])]
    PAGE.write_text("\n".join(lines))


def _table(benches: Sequence[Bench], kept: Mapping[str, Any]) -> Iterator[str]:
    yield "| bench | ours | against | ratio (spread) | goal | | ours / against | load |"
    yield "|---|---|---|---|---|---|---|---|"
    for ratio in (ratio for bench in benches for ratio in bench.ratios):
        if row := kept.get(ratio.name):
            yield _row(ratio, [Pair(*each) for each in row["pairs"]], row["load"])


def _row(ratio: Ratio, pairs: Sequence[Pair], load: float) -> str:
    middle, least, greatest = median_and_spread(pairs)
    ours, reference = _typical(pairs)
    bound = "≤" if ratio.most else "≥"
    cells = (
        ratio.name, ratio.ours, ratio.against, f"**{middle:.2f}** ({least:.2f} to {greatest:.2f})",
        f"{bound} {ratio.goal:g}", _verdict(ratio, middle), f"{_number(ours)} / {_number(reference)} {ratio.unit}",
        f"{load:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _typical(pairs: Sequence[Pair]) -> tuple[float, float]:
    """The pair whose ratio is the median."""
    middle = sorted(pairs, key=lambda pair: pair.ratio)[len(pairs) // 2]
    return middle.ours, middle.reference


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _verdict(ratio: Ratio, middle: float) -> str:
    if ratio.met(middle):
        return "met"
    return "worse than half" if ratio.worse_than_half(middle) else "not met"


def _facts(facts: Mapping[str, Any]) -> str:
    return (
        f"Measured on {facts['cores']} cores, which servers, clients and product share; {facts['system']}, "
        f"Python {facts['python']}, PostgreSQL {facts['postgres']}, Kafka {facts['kafka']}. "
        "*load*: the machine's load average when the bench began.\n"
    )
