"""`quartal import`: facts from a file, through the public API; safe to repeat."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import httpx
import typer

from infra.cli.progress import progress
from infra.cli.running import TokenFor, client, tokens
from infra.exchange.importing import bring_in
from infra.exchange.line import NotAFile, Read, json_lines, text_of
from infra.exchange.study import Ended
from infra.exchange.table import rows
from infra.exchange.tally import Tally
from infra.exchange.template import NoSuchFact, template
from infra.reference.load import StudyApi

JSON_LINES = {".jsonl", ".ndjson", ".json"}
SHOWN = 200  # refusals on the terminal; `--report` has them all

Token = Annotated[
    str | None, typer.Option(envvar="QUARTAL_TOKEN", help="a bearer token; without it, the development issuer's")
]


def command(
    file: Annotated[Path | None, typer.Argument(help="JSON lines or CSV, UTF-8", exists=True, dir_okay=False)] = None,
    study: Annotated[str | None, typer.Option(help="the study's id")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="decide every line, record nothing")] = False,
    fact: Annotated[str | None, typer.Option("--template", help="print a CSV header and an example row")] = None,
    type_name: Annotated[str | None, typer.Option("--type", help="the fact of a CSV without a column type")] = None,
    participants_only: Annotated[bool, typer.Option(help="leave the study's own facts out")] = False,
    report: Annotated[Path | None, typer.Option(help="write every refusal there, as JSON lines")] = None,
    token: Token = None,
) -> None:
    """State what a file says and the study does not have yet. Code 0: every line stands; 1: some were refused."""
    if fact:
        return _template(fact)
    if file is None or study is None:
        raise _given_up("Give a file, and --study; or --template and a fact's type.", 2)
    lines = _lines(file, type_name)
    tally = Tally(dry_run)
    token_for: TokenFor = (lambda _role, _site: token) if token else tokens(study)
    try:
        with progress("Deciding" if dry_run else "Importing", "lines") as told:
            tally.advance = lambda: told(tally.counts.total(), len(lines))
            ended = asyncio.run(_imported(study, token_for, lines, tally, token is None, participants_only))
    except KeyboardInterrupt:
        ended = "It was interrupted."
    _told(tally, report)
    if ended:
        raise _given_up(f"The import has not come to its end: {ended} Run it again: it goes on from there.", 1)
    raise typer.Exit(1 if tally.refusals else 0)


def _template(type_name: str) -> None:
    try:
        typer.echo(template(type_name), nl=False)
    except NoSuchFact:
        raise _given_up("There is no fact of that type: /enrollment/docs lists them.", 2) from None


def _given_up(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)


def _lines(file: Path, type_name: str | None) -> list[Read]:
    """By the file's name, or else by its first character: a line of JSON begins with a brace, and no header does."""
    try:
        text = text_of(file.read_bytes())
        is_json = file.suffix.lower() in JSON_LINES or text.lstrip().startswith("{")
        return list(json_lines(text) if is_json else rows(text, type_name))
    except NotAFile as unreadable:
        raise _given_up(str(unreadable), 2) from None


async def _imported(
    study: str, token_for: TokenFor, lines: list[Read], tally: Tally, grants: bool, participants_only: bool
) -> str:
    """Why it ended before its end; '' if it did not."""
    async with client() as http:
        try:
            await bring_in(
                StudyApi(http, study, token_for), lines, tally, grants=grants, participants_only=participants_only
            )
        except Ended as ended:
            return str(ended)
        except httpx.TransportError:
            return "Quartal does not answer."
    return ""


def _told(tally: Tally, report: Path | None) -> None:
    refusals = sorted(tally.refusals, key=lambda each: each.number)
    for refused in refusals[:SHOWN]:
        typer.echo(str(refused))
    if len(refusals) > SHOWN:
        typer.echo(f"… and {len(refusals) - SHOWN} more refused lines: --report writes them all")
    if report:
        report.write_text("".join(f"{refused.json()}\n" for refused in refusals), "utf-8")
    for line in tally.summary():
        typer.echo(line)
