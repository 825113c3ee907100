"""`quartal demo`: everything, with the reference study loaded and a simulated one that goes on."""

from __future__ import annotations

import asyncio
from itertools import groupby

import httpx
import typer

from infra.cli import up
from infra.cli.progress import Told, progress
from infra.cli.running import client, data_folder, port, tokens
from infra.local.roles import LIVE_STUDY, doors
from infra.local.stack import Stack
from infra.local.supervisor import python_module
from infra.reference.load import load
from infra.reference.study import FROZEN_TODAY, STUDY_ID, members
from infra.simulator.study import SITES
from shared.settings import SERVICES

CAUGHT_UP_WITHIN, _LOOKS_EVERY = 60.0, 0.05
CLOCK = f"{STUDY_ID}={FROZEN_TODAY},{LIVE_STUDY}=+0"
OPENED_WITHIN = 20.0  # seconds; the demo is of use without the simulated study, so it begins without it then
OPENING = 2 + len(SITES) + len(members(LIVE_STUDY, [site.site_id for site in SITES]))
"""Facts that open the simulated study; before the last of them not every link leads somewhere."""
GENERATION = "200"  # participants: once through the days of accrual


def command() -> None:
    """Start everything with the reference study and a simulated study, and run until Ctrl-C."""
    kept_in = str(data_folder().path / "simulated.json")
    simulator = python_module("infra.simulator", "--participants", GENERATION, "--endless", "--progress", kept_in)
    up.start({**up.COMMANDS, "simulator": simulator}, _loaded, {**up.DEFAULTS, "QUARTAL_CLOCK": CLOCK})


async def _loaded(_: Stack) -> None:
    await up.answering()
    base = f"http://127.0.0.1:{port()}"
    async with client(base) as http:
        said: list[str] = []
        with progress("Loading the reference study", "facts") as so_far:
            facts = await load(http, tokens(STUDY_ID), said.append, so_far)
        typer.echo("\n".join(said))
        with progress("Waiting until the pages show the reference study", "facts") as so_far:
            await _shown(http, STUDY_ID, facts, so_far)
        try:
            with progress("Waiting for the simulated study", "facts") as so_far:
                await _shown(http, LIVE_STUDY, OPENING, so_far, within=OPENED_WITHIN)
        except TimeoutError:
            typer.echo(f"{LIVE_STUDY} is not open yet. Its links work as soon as the simulator has opened it.")
    typer.echo(f"\nReady: {base}")
    for title, of_study in groupby(doors(), lambda door: f"{door.title} ({door.study}), signed in as"):
        typer.echo(f"  {title}")
        for door in of_study:
            typer.echo(f"    {door.role:14} {base}{door.way_in}")
    typer.echo("  API reference")
    for service in SERVICES:
        typer.echo(f"    {service:14} {base}/{service}/docs")
    typer.echo("Press Ctrl-C to stop. Recorded facts are kept.")


async def _shown(
    http: httpx.AsyncClient, study: str, facts: int, so_far: Told, within: float = CAUGHT_UP_WITHIN
) -> None:
    """Return when the projection has that many facts of a study; TimeoutError after `within` seconds."""
    asked, token_for = f"/analytics/v1/studies/{study}/position", tokens(study)
    async with asyncio.timeout(within):
        while True:
            answer = await http.get(asked, headers={"Authorization": f"Bearer {token_for('administrator', None)}"})
            position = answer.json()["position"] if answer.status_code == 200 else 0
            so_far(min(position, facts), facts)
            if position >= facts:
                return
            await asyncio.sleep(_LOOKS_EVERY)
