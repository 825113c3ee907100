"""Settings for commands: from the environment, completed by the running `quartal up` of the data folder."""

from __future__ import annotations

import os
from collections.abc import Mapping

import typer

from infra.cli.installation import data_folder
from shared.settings import Settings


def command_environment() -> dict[str, str]:
    """Returns the environment of the process, completed by the settings of the running `quartal up` of QUARTAL_DATA."""
    notes = data_folder().holder_notes() or {}
    return {**notes.get("environment", {}), **os.environ}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Returns the typed settings of that environment; ends the command with a message if one is invalid."""
    try:
        return Settings.from_variables(environment)
    except ValueError as error:
        typer.echo(f"A setting is wrong: {error}", err=True)
        raise typer.Exit(2) from None
