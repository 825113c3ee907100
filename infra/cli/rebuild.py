"""`quartal rebuild analytics`: computes facts and derived rows again from the journal."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

from infra.cli.progress import progress
from infra.cli.settings_source import command_environment, read_settings
from services.analytics.rebuild.rebuild import rebuild


def command(service: Annotated[Literal["analytics"], typer.Argument(help="the only value")]) -> None:
    """Compute the tables of analytics again from its journal. Figures keep being served."""
    settings = read_settings(command_environment())
    with progress("Rebuilding", "participants") as report:
        repaired = asyncio.run(rebuild(settings.database_url("analytics", "system"), report))
    typer.echo(f"{service}: rebuilt from the journal")
    if repaired:
        typer.echo(f"Repaired {repaired} participants or studies whose tables differed from the journal.", err=True)
