"""`quartal export`: a study's facts into a file. The services record who exported what, and when."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID

import httpx
import typer

from infra.cli.import_ import Token
from infra.cli.running import TokenFor, client, tokens
from infra.exchange.exporting import Export
from infra.exchange.order import SERVICES
from infra.exchange.study import Ended
from infra.reference.load import StudyApi
from shared.kernel.ids import new_event_id

app = typer.Typer(no_args_is_help=True, help=__doc__)
Study = Annotated[str, typer.Option(help="the study's id")]
Site = Annotated[str | None, typer.Option(help="only what this site stated, read as its staff")]
Services = Annotated[list[str], typer.Option("--service", help="of these services; without it, of all")]


@app.command("facts")
def facts_command(
    study: Study,
    site: Site = None,
    out: Annotated[Path | None, typer.Option(help="a file; without it, the terminal")] = None,
    service: Services = list(SERVICES),  # noqa: B006 - typer reads it and changes nothing
    token: Token = None,
) -> None:
    """Every fact as stated, corrections too, as JSON lines that `quartal import` reads. Sealed texts are not in it."""
    if set(service) - set(SERVICES):
        typer.echo(f"A service is one of {', '.join(SERVICES)}.", err=True)
        raise typer.Exit(2)
    token_for: TokenFor = (lambda _role, _site: token) if token else tokens(study)
    export_id = new_event_id()
    try:
        with _written(out) as file:
            counts = asyncio.run(_exported(study, token_for, export_id, service, site, file, grants=token is None))
    except (Ended, httpx.TransportError) as ended:
        why = str(ended) if isinstance(ended, Ended) else "Quartal does not answer."
        typer.echo(f"The export has not come to its end: {why}", err=True)
        raise typer.Exit(1) from None
    told = ", ".join(f"{count} of {name}" for name, count in counts.items())
    typer.echo(
        f"{counts.total()} facts ({told}), recorded as export {export_id}. Sealed texts are not in it.", err=True
    )


async def _exported(
    study: str,
    token_for: TokenFor,
    export_id: UUID,
    services: list[str],
    site: str | None,
    file: TextIO,
    *,
    grants: bool,
) -> Counter[str]:
    counts = Counter[str]()
    async with client() as http:
        caller = ("site", site) if site else ("coordinator", None)
        export = Export(StudyApi(http, study, token_for), caller, export_id, services, site, grants)
        async for line in export.lines():
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            counts[line.get("service", "the study")] += 1
    return counts


@contextmanager
def _written(out: Path | None) -> Iterator[TextIO]:
    """The file is there when all of it is written, readable by its owner only; an export that breaks leaves none."""
    if out is None:
        yield sys.stdout
        return
    draft = out.with_name(f"{out.name}.part")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            yield file
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
