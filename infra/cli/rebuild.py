"""`quartal rebuild analytics`: rebuilds the fact tables from the journal."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

from infra.cli.settings_source import command_environment, read_settings
from services.analytics.projection.rebuild import rebuild
from shared.postgres.tenancy import open_pool
from shared.settings import Settings


def command(service: Annotated[Literal["analytics"], typer.Argument(help="the only value")]) -> None:
    """Rebuild the tables of analytics from its journal. The figures do not change."""
    asyncio.run(_rebuild(read_settings(command_environment())))
    typer.echo(f"{service}: rebuilt from the journal")


async def _rebuild(settings: Settings) -> None:
    async with await open_pool(settings.database_url("analytics", "system")) as pool:
        await rebuild(pool)
