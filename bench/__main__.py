"""`python -m bench [NAME …] [--small]`: measures, prints the ratios, and stores them in `results.json`."""

from __future__ import annotations

import argparse
import os

import uvloop

from bench import (
    api,
    append,
    cold_snapshot,
    derivation,
    end_to_end,
    fairness,
    fan_out,
    figures,
    live_figure,
    live_page,
    projection,
    rebuild,
    relay,
    reminders,
    report,
    survival,
    worklist,
)
from bench.ratio import Bench, NotMeasured, Size

BENCHES: tuple[Bench, ...] = (
    append.BENCH,
    api.BENCH,
    fairness.BENCH,
    relay.BENCH,
    projection.BENCH,
    end_to_end.BENCH,
    derivation.BENCH,
    cold_snapshot.BENCH,
    rebuild.BENCH,
    live_figure.BENCH,
    live_page.BENCH,
    figures.BENCH,
    survival.BENCH,
    fan_out.BENCH,
    worklist.BENCH,
    reminders.BENCH,
)


def main() -> None:
    arguments = _parse_arguments()
    failures = list[str]()
    for bench in BENCHES:
        if bench.name in (arguments.names or {bench.name}):
            try:
                _measure(bench, Size(arguments.small))
            except NotMeasured as error:
                failures.append(f"{bench.name} is not measured: {error}")
    if failures:
        raise SystemExit("\n".join(failures))


def _measure(bench: Bench, size: Size) -> None:
    load = os.getloadavg()[0]
    measured = uvloop.run(bench.run(size))
    for ratio in bench.ratios:
        print(report.format_ratio(ratio, report.pairs_of(ratio, measured)), flush=True)
    if not size.small:
        report.store_measurements(bench, measured, load)
        report.write_page(BENCHES)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure ratios of Quartal to the least that could do the same."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(bench.name for bench in BENCHES))
    parser.add_argument("--small", action="store_true", help="only check that the benches run; store nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - {bench.name for bench in BENCHES}:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
