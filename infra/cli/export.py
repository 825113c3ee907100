"""`quartal export`: writes the facts of a study to a file. The services log who exported what, and when."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, TextIO

import httpx
import typer

from infra.callbacks import TokenFor
from infra.cli.files import UnwritableFile, write_atomically
from infra.cli.import_ import NO_ANSWER_MESSAGE, TokenOption
from infra.cli.installation import http_client, token_source
from infra.client.study_client import StudyClient
from infra.exchange.exporting import Export
from infra.exchange.target_study import ExchangeAborted
from infra.services import SERVICES
from shared.kernel.ids import new_event_id
from shared.postgres.tenancy import EVERY_SITE

app = typer.Typer(
    no_args_is_help=True, help="Export the facts of a study. The services log who exported what, and when."
)
StudyOption = Annotated[str, typer.Option(help="the study's id")]
SiteOption = Annotated[str | None, typer.Option(help="only facts that this site recorded, read as its staff")]
ServicesOption = Annotated[list[str], typer.Option("--service", help="only facts of this service; may be repeated")]

_EVERY_SERVICE: list[str] = [*SERVICES]


@app.command("facts")
def facts_command(
    study: StudyOption,
    site: SiteOption = None,
    path: Annotated[Path | None, typer.Option("--out", help="the file to write; without it, standard output")] = None,
    service: ServicesOption = _EVERY_SERVICE,
    token: TokenOption = None,
) -> None:
    """Export every fact as recorded, also corrections, as JSON lines for `quartal import`, without sealed texts."""
    if set(service) - set(SERVICES):
        typer.echo(f"A service is one of {', '.join(SERVICES)}.", err=True)
        raise typer.Exit(2)
    token_for: TokenFor = (lambda _role, _site: token) if token else token_source(study)
    try:
        with write_atomically(path) if path else nullcontext(sys.stdout) as file:
            export, counts = asyncio.run(_run_export(study, token_for, service, site, file, grants=token is None))
    except UnwritableFile as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (ExchangeAborted, httpx.TransportError) as aborted:
        reason = str(aborted) if isinstance(aborted, ExchangeAborted) else NO_ANSWER_MESSAGE
        typer.echo(f"Nothing was exported: {reason}", err=True)
        raise typer.Exit(1) from None
    for line in summary(export, counts):
        typer.echo(line, err=True)


def summary(export: Export, counts: Counter[str]) -> Iterator[str]:
    """Yields sentences on what the file contains, from which sites, and up to which time."""
    counts_by_service = ", ".join(f"{count} of {name}" for name, count in counts.items())
    yield (
        f"{counts.total()} facts were exported ({counts_by_service}). The services recorded this as export {export.id}."
    )
    if EVERY_SITE not in export.visible_sites:
        visible_sites = sorted(export.visible_sites)
        sites = (
            f"Only site {visible_sites[0]} is"
            if len(visible_sites) == 1
            else f"Only the sites {', '.join(visible_sites)} are"
        )
        yield (
            f"{sites} visible to this token: the file has the facts of {len(visible_sites)} of "
            f"{len(export.sites)} sites."
        )
    if export.site:
        yield f"The file has only the facts that site {export.site} recorded, and the study's own facts."
    newer = f" It has {export.newer_count} newer facts; others may be missing." if export.newer_count else ""
    yield f"The file is complete up to {export.started_at:%Y-%m-%d %H:%M:%S} UTC.{newer}"
    yield "The file has no sealed texts."


async def _run_export(
    study: str, token_for: TokenFor, services: list[str], site: str | None, file: TextIO, *, grants: bool
) -> tuple[Export, Counter[str]]:
    counts = Counter[str]()
    async with http_client() as http:
        caller = ("site", site) if site else ("coordinator", None)
        export = Export(
            client=StudyClient(http, study, token_for),
            caller=caller,
            id=new_event_id(),
            services=services,
            site=site,
            may_grant=grants,
        )
        async for line in export.lines():
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            counts[line.get("service", "the study")] += 1
    return export, counts
