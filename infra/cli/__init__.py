"""The command `quartal`."""

from __future__ import annotations

import typer

from infra.cli import demo, doctor, export, import_, parked, rebuild, relay, simulate, token, up

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.command("up")(up.command)
app.command("demo")(demo.command)
app.command("token")(token.command)
app.command("import")(import_.command)
app.add_typer(export.app, name="export")
app.command("simulate")(simulate.command)
app.command("rebuild")(rebuild.command)
app.command("doctor")(doctor.command)
app.add_typer(relay.app, name="relay")
app.add_typer(parked.app, name="parked")


def main() -> None:
    app()
