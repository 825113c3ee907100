"""The command `quartal`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from shared.version import VERSION

_MODULES = {
    "up": "up",
    "demo": "demo",
    "token": "token",
    "import": "import_",
    "export": "export",
    "report": "report",
    "simulate": "simulate",
    "rebuild": "rebuild",
    "doctor": "doctor",
    "relay": "relay",
    "parked": "parked",
    "clock": "clock",
}


class _LazyCommands(Mapping[str, Any]):
    """Commands by name, each imported on first use: `quartal token` need not import all four services."""

    def __getitem__(self, name: str) -> Any:
        module, holder = import_module(f"infra.cli.{_MODULES[name]}"), typer.Typer()
        if hasattr(module, "app"):
            holder.add_typer(module.app, name=name)
        else:
            holder.command(name)(module.command)
        return get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


class _CommandGroup(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _LazyCommands()


app = typer.Typer(
    cls=_CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Start, use and operate a Quartal installation.",
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"quartal {VERSION}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def _quartal(version: VersionOption = False) -> None:
    """Take the options before the command."""


def main() -> None:
    app()
