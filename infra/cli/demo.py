"""`quartal demo`: everything, with the reference study loaded and a simulated one that goes on."""

from __future__ import annotations

import asyncio

import httpx
import typer

from infra.cli import up
from infra.cli.running import TokenFor, client, data_folder, port, tokens
from infra.local.roles import LIVE_STUDY, doors
from infra.local.stack import Stack
from infra.local.supervisor import python_module
from infra.reference.load import load
from infra.reference.study import FROZEN_TODAY, STUDY_ID
from shared.settings import SERVICES

CAUGHT_UP_WITHIN, _LOOKS_EVERY = 60.0, 0.05
CLOCK = f"{STUDY_ID}={FROZEN_TODAY},{LIVE_STUDY}=+0"
PARTICIPANTS = "1000"


def command() -> None:
    """Start everything, load the reference study through the public API, and stay up until Ctrl-C."""
    progress = str(data_folder().path / "simulated.json")
    simulator = python_module("infra.simulator", "--participants", PARTICIPANTS, "--stay", "--progress", progress)
    up.start({**up.COMMANDS, "simulator": simulator}, _loaded, {**up.DEFAULTS, "QUARTAL_CLOCK": CLOCK})


async def _loaded(_: Stack) -> None:
    await up.answering()
    base = f"http://127.0.0.1:{port()}"
    async with client(base) as http:
        typer.echo("Loading the reference study")
        facts = await load(http, tokens(STUDY_ID), typer.echo)
        await _shown(http, tokens(STUDY_ID), facts)
    typer.echo(f"\nReady: {base}")
    for door in doors():
        typer.echo(f"  {door.label:42} {base}{door.way_in}")
    for service in SERVICES:
        typer.echo(f"  {f'API of {service}':42} {base}/{service}/docs")
    typer.echo("Ctrl-C ends it; what was recorded stays.")


async def _shown(http: httpx.AsyncClient, token_for: TokenFor, facts: int) -> None:
    """Return when the projection has that many facts of the reference study."""
    asked = f"/analytics/v1/studies/{STUDY_ID}/position"
    async with asyncio.timeout(CAUGHT_UP_WITHIN):
        while True:
            answer = await http.get(asked, headers={"Authorization": f"Bearer {token_for('administrator', None)}"})
            if answer.status_code == 200 and answer.json()["position"] >= facts:
                return
            await asyncio.sleep(_LOOKS_EVERY)
