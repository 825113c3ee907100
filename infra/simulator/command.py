"""The command line of the simulator: signs with the development issuer, and runs until a signal or the end.

python -m infra.simulator --url http://127.0.0.1:8000 --participants 120 --rate 1
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx

from infra.issuer import Issuer
from infra.reference.simulated_study import SITES, STUDY_ID
from infra.reference.study import subject
from infra.simulator.run import SimulationPlan, simulate
from shared.settings import Settings


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the simulation that the arguments describe (those of the process by default); prints how many facts it is.

    It ends when everything is recorded, or with SIGINT or SIGTERM.
    """
    arguments = _arguments(argv)
    issuer, clock = Issuer.load(arguments.keys), Settings().study_clock()

    plan = SimulationPlan(
        study_id=arguments.study,
        sites=SITES[: arguments.sites],
        seed=arguments.seed,
        participants=arguments.participants,
        rate=arguments.rate,
        endless=arguments.endless,
    )

    def token_for(role: str, site_id: str | None) -> str:
        return issuer.token(subject(arguments.study, role, site_id), now=clock.now())

    async def run() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with httpx.AsyncClient(base_url=arguments.url, timeout=30) as client:
            return await simulate(
                client,
                token_for,
                plan,
                today=lambda zone: clock.today(arguments.study, zone),
                stop=stop,
                report=partial(print, flush=True),
                progress_file=arguments.progress,
            )

    print(f"{asyncio.run(run())} facts recorded")


def _positive_int(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least one")
    return number


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m infra.simulator", description="Simulate a study through the public API."
    )
    parser.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('QUARTAL_PORT', '8000')}")
    parser.add_argument("--study", default=STUDY_ID)
    parser.add_argument("--sites", type=int, default=len(SITES), choices=range(1, len(SITES) + 1), metavar="N")
    parser.add_argument("--participants", type=_positive_int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.0, help="facts per second")
    keys = Path(os.environ.get("QUARTAL_JWKS", ".quartal/issuer/jwks.json")).parent
    parser.add_argument("--endless", action="store_true", help="continue with as many new participants, until a signal")
    parser.add_argument("--progress", type=Path, help="file that stores the progress")
    parser.add_argument("--keys", type=Path, default=keys, help="folder of the development issuer")
    return parser.parse_args(argv)
