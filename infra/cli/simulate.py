"""`quartal simulate`: records a simulated study in the Quartal that runs on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.installation import base_url, data_folder, development_issuer
from infra.simulator.command import main


def command(
    study: Annotated[str, typer.Option(help="the study's id")],
    sites: Annotated[int, typer.Option(min=1, max=8, help="number of sites")] = 8,
    participants: Annotated[int, typer.Option(min=1, max=100_000, help="number of participants")] = 120,
    seed: Annotated[int, typer.Option(help="the same seed gives the same participants")] = 1,
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="facts per second")] = 1.0,
) -> None:
    """Simulate participants and record their facts through the public API. Repeating adds nothing."""
    development_issuer()
    arguments = {
        "--url": base_url(),
        "--study": study,
        "--sites": sites,
        "--participants": participants,
        "--seed": seed,
        "--rate": rate,
        "--keys": data_folder().path / "issuer",
    }
    main([str(word) for option in arguments.items() for word in option])
