"""Measures Kaplan-Meier curves with their bands, against those of lifelines, scikit-survival, and R's survival.

Every side gets the same whole days, and all must end on the same estimate with the same limits.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from services.analytics.statistics.kaplan_meier import kaplan_meier
from services.analytics.statistics.risk_sets import observe

T = TypeVar("T")
CURVES = {100: 300, 10_000: 20, 1_000_000: 1}
"""The number of curves that one side estimates in a round, by the number of participants."""
SMALL_PARTICIPANTS = 100
SEED, MEAN_DAYS, LAST_DAY, SHARE_OF_EVENTS = 1, 700, 3650, 0.6
TOLERANCE = 1e-9
R_SCRIPT = Path(__file__).with_name("survival.R")
GOALS = {
    "lifelines": {100: 1, 10_000: 1, 1_000_000: 50},
    "scikit-survival": {100: 1, 10_000: 1, 1_000_000: 20},
    "R survival": {100: 1, 10_000: 20, 1_000_000: 20},
}
RATIOS = {
    (peer, participants): Ratio(
        name=f"survival, {participants:,}, {peer}",
        ours=f"Kaplan-Meier with its band of {participants:,} participants, from arrays of days; CPU time",
        against=f"the same by {peer}; CPU time",
        unit="curves per CPU second",
        goal=goal,
        needs=peer,
    )
    for participants in CURVES
    for peer, goals in GOALS.items()
    for goal in [goals[participants]]
}
End = tuple[float, float, float]
"""The last estimate above 0, and its limits."""


class DifferentEstimate(Exception):
    """Another program estimates another curve, so that its speed says nothing."""


@dataclass(frozen=True)
class Times:
    """Days to the events (1) and censorings (0) of so many participants, also as the file that R reads."""

    days: NDArray[np.int32]
    events: NDArray[np.int32]
    file: Path

    @classmethod
    def draw(cls, participants: int, folder: Path) -> Times:
        generator = np.random.default_rng(SEED)
        days = np.minimum(generator.exponential(MEAN_DAYS, participants), LAST_DAY).astype(np.int32)
        events = (generator.random(participants) < SHARE_OF_EVENTS).astype(np.int32)
        file = folder / f"{participants}.bin"
        file.write_bytes(np.int32(participants).tobytes() + days.tobytes() + events.tobytes())
        return cls(days, events, file)


Estimator = Callable[[Times, int], tuple[float, End]]
"""Estimates so many curves of the same times; returns the CPU seconds of one, and its end."""


async def run(size: Size) -> Measurements:
    peers = installed_peers()
    with tempfile.TemporaryDirectory() as folder:
        measured = dict[str, list[Pair]]()
        for participants in CURVES:
            times = Times.draw(size.choose(participants, SMALL_PARTICIPANTS), Path(folder))
            measured |= await _measure(size, times, participants, peers)
    return measured


async def _measure(
    size: Size, times: Times, participants: int, peers: Mapping[str, Estimator]
) -> dict[str, list[Pair]]:
    ends = dict[str, End]()

    def side(name: str, estimate: Estimator) -> Callable[[], Awaitable[float]]:
        async def measure() -> float:
            seconds, ends[name] = await asyncio.to_thread(estimate, times, size.choose(CURVES[participants], 1))
            return 1 / seconds

        return measure

    rounds = await run_alternately(
        size, side("ours", estimate_curve), *(side(name, estimate) for name, estimate in peers.items())
    )
    _require_equal(ends)
    return {
        RATIOS[peer, participants].name: [Pair(rates[0], rates[number]) for rates in rounds]
        for number, peer in enumerate(peers, 1)
    }


def _require_equal(ends: Mapping[str, End]) -> None:
    for name, end in ends.items():
        if not np.allclose(end, ends["ours"], rtol=TOLERANCE, atol=0):
            raise DifferentEstimate(f"{name}: {end}; ours: {ends['ours']}")


def installed_peers() -> dict[str, Estimator]:
    """Returns the programs to compare with that are there."""
    peers = dict[str, Estimator]()
    if find_spec("lifelines"):
        peers["lifelines"] = estimate_by_lifelines
    if find_spec("sksurv"):
        peers["scikit-survival"] = estimate_by_scikit_survival
    if (program := shutil.which("Rscript")) and _has_survival(program):
        peers["R survival"] = partial(estimate_by_r, program)
    return peers


def _has_survival(program: str) -> bool:
    return subprocess.run([program, "-e", "library(survival)"], capture_output=True, check=False).returncode == 0


def estimate_curve(times: Times, curves: int) -> tuple[float, End]:
    seconds, curve = _time(lambda: kaplan_meier(observe(times.days, times.events)), curves)
    return seconds, _end(curve.estimate, curve.lower, curve.upper)


def estimate_by_lifelines(times: Times, curves: int) -> tuple[float, End]:
    from lifelines import KaplanMeierFitter

    seconds, fitted = _time(lambda: KaplanMeierFitter().fit(times.days, times.events), curves)
    lower, upper = fitted.confidence_interval_.to_numpy().T
    return seconds, _end(fitted.survival_function_.to_numpy()[:, 0], lower, upper)


def estimate_by_scikit_survival(times: Times, curves: int) -> tuple[float, End]:
    from sksurv.nonparametric import kaplan_meier_estimator

    is_event = times.events.astype(bool)
    seconds, curve = _time(lambda: kaplan_meier_estimator(is_event, times.days, conf_type="log-log"), curves)
    _, estimate, (lower, upper) = curve
    return seconds, _end(estimate, lower, upper)


def estimate_by_r(program: str, times: Times, curves: int) -> tuple[float, End]:
    arguments = [program, str(R_SCRIPT), str(times.file), str(curves)]
    output = subprocess.run(arguments, capture_output=True, check=True, text=True).stdout
    seconds, estimate, lower, upper = map(float, output.split())
    return seconds, (estimate, lower, upper)


def _time(estimate: Callable[[], T], curves: int) -> tuple[float, T]:
    """Returns the CPU seconds of one curve, and the curve. A first one is not measured."""
    curve = estimate()
    started_at = process_time()
    for _ in range(curves):
        curve = estimate()
    return (process_time() - started_at) / curves, curve


def _end(estimate: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]) -> End:
    row = int(np.sum(np.asarray(estimate) > 0)) - 1
    return float(estimate[row]), float(lower[row]), float(upper[row])


BENCH = Bench("survival", tuple(RATIOS.values()), run)
