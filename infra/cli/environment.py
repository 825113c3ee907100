"""What a command needs to know of the installation: the environment, or that of the stack that runs here."""

from __future__ import annotations

import os
from collections.abc import Mapping

import typer

from infra.cli.running import data_folder
from shared.settings import Settings


def environment() -> dict[str, str]:
    """The process's environment, completed by what the running `quartal up` of QUARTAL_DATA noted."""
    notes = data_folder().running() or {}
    return {**notes.get("environment", {}), **os.environ}


def settings_of(told: Mapping[str, str]) -> Settings:
    """The typed settings that a process in that environment has; ends the command where they cannot be read."""
    members = {
        name.removeprefix("QUARTAL_").lower(): value for name, value in told.items() if name.startswith("QUARTAL_")
    }
    try:
        return Settings(**members, KAFKA_BOOTSTRAP=told.get("KAFKA_BOOTSTRAP", ""))  # type: ignore[arg-type] # parsed
    except ValueError as wrong:
        typer.echo(f"A setting is wrong: {wrong}", err=True)
        raise typer.Exit(2) from None
