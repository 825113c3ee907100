"""What a command needs to know of the installation: the environment, or that of the stack that runs here."""

from __future__ import annotations

import os
from collections.abc import Mapping

import typer

from infra.cli.installation import data_folder
from shared.settings import Settings


def command_environment() -> dict[str, str]:
    """The process's environment, completed by what the running `quartal up` of QUARTAL_DATA noted."""
    notes = data_folder().holder_notes() or {}
    return {**notes.get("environment", {}), **os.environ}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The typed settings that a process in that environment has; ends the command where they cannot be read."""
    members = {
        name.removeprefix("QUARTAL_").lower(): value
        for name, value in environment.items()
        if name.startswith("QUARTAL_")
    }
    try:
        return Settings(**members, KAFKA_BOOTSTRAP=environment.get("KAFKA_BOOTSTRAP", ""))  # type: ignore[arg-type] # parsed
    except ValueError as error:
        typer.echo(f"A setting is wrong: {error}", err=True)
        raise typer.Exit(2) from None
