"""Stores measurements in `results.json`, and writes them as a table to `docs/performance.md`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.ratio import Bench, Measurements, Pair, Ratio, median_and_spread
from infra.local.kafka_home import KAFKA_VERSION as KAFKA
from infra.local.postgres import find_binaries
from shared.kernel.clock import Clock

ROOT = Path(__file__).parents[1]
RESULTS_PATH = ROOT / "bench" / "results.json"
PAGE_PATH = ROOT / "docs" / "performance.md"
_INTRODUCTION = """# Performance

Machines differ, and are noisy. The goals therefore are **ratios** of two programs that run alternately on one machine:
Quartal, and the smallest program that does the same. Each row has the median of at least five pairs, with the least and
the greatest ratio in parentheses. `make bench` measures all of them and writes this page; `python -m bench append api`
measures some; `--small` only checks that they run, and writes nothing.
"""
_EXPLANATION = """
A goal is a lower bound for rates and an upper bound for times. *worse than half*: a rate below half of its goal, or a
time above twice its goal.
PostgreSQL is durable in every bench (fsync on, commits are waited for), Kafka acknowledges by `acks=all`. A load above
the number of cores means that the machine had other work at the time: the spread shows the effect, and such a row
should be measured again before anybody draws a conclusion from it.
"""
_NOT_MEASURED = """
## Not measured

*live page* has no row. In a study of 2,000 participants ten readers fetch all 19 figures after each of 5 facts a
second. They get each figure twice in 10 seconds, and the bench refuses to call that live. The ratio was 1.18
(29.9 / 25.2 s) when there were fewer figures. Most facts give the figures another position before every reader has the
last one, so that each figure is computed up to five times a second.
"""
_BEFORE_DERIVED_ROWS = """
## Before the derived rows

Until figures were computed from derived rows, each of them read and parsed every current fact of the study after every
new fact. The steps of *live figure*, on that code and the same machine while it had other work (load 10 to 12), took
for one figure and one new fact, as medians of five:

| participants | flow: processor time (answer) | accrual: processor time (answer) |
|---|---|---|
| 100 | 0.09 s (0.5 s) | 0.10 s (0.7 s) |
| 500 | 0.85 s (4.5 s) | 0.72 s (2.1 s) |
| 2,000 | 3.1 s (15.7 s) | 3.0 s (10.8 s) |

So 2,000 participants took 36 and 31 times as long as 100. Processor time is that of the process that reads and
computes, without PostgreSQL; "answer" is what a reader waited at that load. *live page* took 26 and 31 CPU seconds per
minute at 100 participants (load 14 to 18). At 2,000 it could not be measured: in 12 seconds, not every reader got the
figures once.
"""


def format_ratio(ratio: Ratio, pairs: Sequence[Pair]) -> str:
    if not pairs:
        return f"{ratio.name:36} {_not_measured(ratio)}"
    median, least, greatest = median_and_spread(pairs)
    ours, reference = _median_pair(pairs)
    bound = "at most" if ratio.is_upper_bound else "at least"
    return (
        f"{ratio.name:36} {median:6.2f} ({least:.2f} to {greatest:.2f}), {bound} {ratio.goal:g} is the goal: "
        f"{_verdict(ratio, median)}; {ours:,.4g} against {reference:,.4g} {ratio.unit}"
    )


def pairs_of(ratio: Ratio, measured: Measurements) -> Sequence[Pair]:
    """Returns the pairs of a ratio; none of one that needs a program that is missing.

    Raises KeyError for any other ratio that was not measured.
    """
    return measured.get(ratio.name, ()) if ratio.needs else measured[ratio.name]


def _not_measured(ratio: Ratio) -> str:
    return f"not measured: {ratio.needs} was not there"


def store_measurements(bench: Bench, measured: Measurements, load: float) -> None:
    """Replaces the results of the bench in `results.json`; `load` is the load average of the machine at the start."""
    results: dict[str, Any] = json.loads(RESULTS_PATH.read_text()) if RESULTS_PATH.exists() else {}
    ratios = results.setdefault("ratios", {})
    for ratio in bench.ratios:
        pairs = [[pair.ours, pair.reference] for pair in pairs_of(ratio, measured)]
        today = Clock().now().date().isoformat()
        ratios[ratio.name] = {
            "unit": ratio.unit,
            "goal": ratio.goal,
            "measured_on": today,
            "load": load,
            "pairs": pairs,
        }
    RESULTS_PATH.write_text(json.dumps({"machine": machine(), "ratios": ratios}, indent=1) + "\n")


def machine() -> dict[str, str | int]:
    return {
        "cores": os.cpu_count() or 0,
        "system": platform.system(),
        "python": platform.python_version(),
        "kafka": KAFKA,
        "postgres": _postgres_version(),
    }


def _postgres_version() -> str:
    output = subprocess.run([find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return output.stdout.split()[2]


def write_page(benches: Sequence[Bench]) -> None:
    """Writes the page from everything in `results.json`."""
    results = json.loads(RESULTS_PATH.read_text())
    is_live_page_measured = "live page" in results["ratios"]
    lines = [
        _INTRODUCTION,
        *_table(benches, results["ratios"]),
        _EXPLANATION,
        _machine_sentence(results["machine"]),
        *([] if is_live_page_measured else [_NOT_MEASURED.lstrip()]),
        _BEFORE_DERIVED_ROWS.lstrip(),
    ]
    PAGE_PATH.write_text("\n".join(lines))


def _table(benches: Sequence[Bench], stored_ratios: Mapping[str, Any]) -> Iterator[str]:
    yield "| bench | ours | against | ratio (spread) | goal | | ours / against | load |"
    yield "|---|---|---|---|---|---|---|---|"
    for ratio in (ratio for bench in benches for ratio in bench.ratios):
        if row := stored_ratios.get(ratio.name):
            yield _row(ratio, [Pair(*pair) for pair in row["pairs"]], row["load"])


def _row(ratio: Ratio, pairs: Sequence[Pair], load: float) -> str:
    bound = "≤" if ratio.is_upper_bound else "≥"
    if not pairs:
        cells = (ratio.name, ratio.ours, ratio.against, _not_measured(ratio), f"{bound} {ratio.goal:g}", "", "", "")
        return f"| {' | '.join(cells)} |"
    median, least, greatest = median_and_spread(pairs)
    ours, reference = _median_pair(pairs)
    cells = (
        ratio.name,
        ratio.ours,
        ratio.against,
        f"**{median:.2f}** ({least:.2f} to {greatest:.2f})",
        f"{bound} {ratio.goal:g}",
        _verdict(ratio, median),
        f"{_format_number(ours)} / {_format_number(reference)} {ratio.unit}",
        f"{load:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _median_pair(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Returns both values of the pair whose ratio is the median."""
    median_pair = sorted(pairs, key=lambda pair: pair.ratio)[len(pairs) // 2]
    return median_pair.ours, median_pair.reference


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _verdict(ratio: Ratio, median: float) -> str:
    if ratio.is_met(median):
        return "met"
    return "worse than half" if ratio.is_worse_than_half(median) else "not met"


def _machine_sentence(machine: Mapping[str, Any]) -> str:
    return (
        f"Measured on {machine['cores']} cores, which servers, clients and product share; {machine['system']}, "
        f"Python {machine['python']}, PostgreSQL {machine['postgres']}, Kafka {machine['kafka']}. "
        "*load*: the machine's load average when the bench began.\n"
    )
