"""`quartal import`: facts from a file, through the public API; safe to repeat."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from infra.cli.files import NotWritten, check_folder, written
from infra.cli.progress import progress
from infra.cli.running import TokenFor, client, tokens
from infra.exchange.decoding import ENCODINGS, text_of
from infra.exchange.importing import bring_in
from infra.exchange.line import NotAFile, Read, json_lines
from infra.exchange.study import NO_STUDY, Ended, Study
from infra.exchange.table import column_at, rows
from infra.exchange.tally import Tally
from infra.exchange.template import NoSuchFact, template
from infra.reference.load import StudyApi

JSON_LINES = {".jsonl", ".ndjson", ".json"}
SHOWN = 200  # refusals on the terminal; `--report` has them all
EXAMPLE = (
    "The values are an example from the reference study: put those of your own participant in their place. With "
    "--study ID, the template has the sites, criteria and consent forms of that study."
)
NO_ANSWER = "Quartal does not answer."


def _token(given: str | None) -> str | None:
    """Return the token without the line end that a file or a shell leaves behind."""
    token = given.strip() if given else None
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise typer.BadParameter("the token has blanks, line breaks or signs that no token has: copy it again.")
    return token


Token = Annotated[
    str | None,
    typer.Option(envvar="QUARTAL_TOKEN", callback=_token, help="a bearer token; without it, the development issuer's"),
]


def _encoding(given: str | None) -> str | None:
    if given is not None and given.lower() not in ENCODINGS:
        raise typer.BadParameter(f"it is one of {', '.join(ENCODINGS)}.")
    return given and given.lower()


Encoding = Annotated[
    str | None, typer.Option(callback=_encoding, help="the encoding of a file that is not UTF-8, such as windows-1252")
]


def command(
    file: Annotated[Path | None, typer.Argument(help="JSON lines or CSV", exists=True, dir_okay=False)] = None,
    study: Annotated[str | None, typer.Option(help="the study's id")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="decide every line, record nothing")] = False,
    fact: Annotated[str | None, typer.Option("--template", help="print a CSV header and an example row")] = None,
    type_name: Annotated[str | None, typer.Option("--type", help="the fact of a CSV without a column type")] = None,
    participants_only: Annotated[bool, typer.Option(help="leave the study's own facts out")] = False,
    report: Annotated[Path | None, typer.Option(help="write what became of every line there, as JSON lines")] = None,
    encoding: Encoding = None,
    token: Token = None,
) -> None:
    """State what a file says and the study does not have yet. Code 0: every line stands; 1: some were refused."""
    if fact:
        return _template(fact, study, token)
    if file is None or study is None:
        raise _given_up("Give a file and --study, or --template and the type of a fact.", 2)
    _check_report(report, file)
    lines = _lines(file, type_name, encoding)
    tally = Tally(dry_run)
    token_for: TokenFor = (lambda _role, _site: token) if token else tokens(study)
    try:
        with progress("Deciding" if dry_run else "Importing", "lines") as told:
            tally.advance = lambda: told(tally.decided, len(lines))
            ended = asyncio.run(_imported(study, token_for, lines, tally, token is None, participants_only))
    except KeyboardInterrupt:
        ended = Ended("It was interrupted.")
    _tell(tally, report)
    if ended:
        raise _given_up(_why(ended), 1)
    raise typer.Exit(1 if tally.refusals else 0)


def _template(type_name: str, study: str | None, token: str | None) -> None:
    try:
        typer.echo(template(type_name, asyncio.run(_facts_of(study, token)) if study else ()), nl=False)
    except NoSuchFact:
        raise _given_up("There is no fact of that type: /enrollment/docs lists them.", 2) from None
    except (Ended, httpx.TransportError) as ended:
        raise _given_up(str(ended) if isinstance(ended, Ended) else NO_ANSWER, 1) from None
    if not study:
        typer.echo(EXAMPLE, err=True)


async def _facts_of(study_id: str, token: str | None) -> list[tuple[str, dict[str, Any]]]:
    token_for: TokenFor = (lambda _role, _site: token) if token else tokens(study_id)
    async with client() as http:
        study = Study(StudyApi(http, study_id, token_for))
        await study.read()
        if not study.version:
            raise Ended(NO_STUDY, may_go_on=False)
        return study.facts


def _given_up(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)


def _why(ended: Ended) -> str:
    if not ended.may_go_on:
        return f"Nothing was imported: {ended}"
    return f"The import has not come to its end: {ended} Run it again: it goes on from there."


def _check_report(report: Path | None, file: Path) -> None:
    """Give up before anything is recorded where the report could not be written."""
    if report is None:
        return
    try:
        check_folder(report)
    except NotWritten as why:
        raise _given_up(str(why), 2) from None
    if report.exists() and report.samefile(file):
        raise _given_up("The report would take the place of the file: give another name.", 2)


def _lines(file: Path, type_name: str | None, encoding: str | None) -> list[Read]:
    """Read by the file's name, or else by its first sign: a line of JSON begins with a brace, and no header does."""
    try:
        text = text_of(file.read_bytes(), encoding, column_at)
        is_json = file.suffix.lower() in JSON_LINES or text.lstrip().startswith("{")
        return list(json_lines(text) if is_json else rows(text, type_name))
    except NotAFile as unreadable:
        raise _given_up(str(unreadable), 2) from None
    except OSError as error:
        raise _given_up(f"The file cannot be read: {error.strerror}.", 2) from None


async def _imported(
    study: str, token_for: TokenFor, lines: list[Read], tally: Tally, grants: bool, participants_only: bool
) -> Ended | None:
    """Return why it ended before its end."""
    async with client() as http:
        try:
            await bring_in(
                StudyApi(http, study, token_for), lines, tally, grants=grants, participants_only=participants_only
            )
        except Ended as ended:
            return ended
        except httpx.TransportError:
            return Ended(NO_ANSWER)
    return None


def _tell(tally: Tally, report: Path | None) -> None:
    refusals = tally.refusals
    for refused in refusals[:SHOWN]:
        typer.echo(str(refused))
    if len(refusals) > SHOWN:
        typer.echo(f"{len(refusals) - SHOWN} more lines are refused: --report FILE names them all.")
    for line in tally.summary():
        typer.echo(line)
    if report:
        try:
            with written(report) as file:
                file.write(tally.report())
        except NotWritten as why:
            raise _given_up(str(why), 1) from None
