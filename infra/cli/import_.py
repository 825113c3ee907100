"""`quartal import`: records facts from a file through the public API; safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from infra.callbacks import TokenFor
from infra.cli.files import UnwritableFile, check_folder, write_atomically
from infra.cli.installation import http_client, token_source
from infra.cli.progress import progress
from infra.cli.settings_source import command_environment, read_settings
from infra.client.study_client import StudyClient
from infra.exchange.decoding import ENCODINGS, decode_text
from infra.exchange.import_line import NumberedLine, UnreadableFile, read_json_lines
from infra.exchange.import_report import ImportReport
from infra.exchange.importing import import_facts
from infra.exchange.table import column_at, read_rows
from infra.exchange.target_study import NO_STUDY, ExchangeAborted, TargetStudy
from infra.exchange.template import UnknownFactType, render_template, suggest_cut_day
from shared.contracts.study import CutTaken

JSON_LINES = {".jsonl", ".ndjson", ".json"}
MAX_PRINTED_REFUSALS = 200  # on the terminal; `--report` writes all
TEMPLATE_HINT = (
    "The values are an example from the reference study: replace them with those of your own participant. With "
    "--study ID, the template has the sites, criteria and consent forms of that study."
)
NO_ANSWER_MESSAGE = "Quartal does not answer."


def _parse_token(value: str | None) -> str | None:
    """Returns the token without the line end that a file or a shell leaves behind."""
    token = value.strip() if value else None
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise typer.BadParameter("the token has blanks, line breaks or characters that no token has. Copy it again.")
    return token


TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="QUARTAL_TOKEN", callback=_parse_token, help="a bearer token; without it, the development issuer's"
    ),
]


def _parse_encoding(value: str | None) -> str | None:
    if value is not None and value.lower() not in ENCODINGS:
        raise typer.BadParameter(f"the encoding must be one of {', '.join(ENCODINGS)}.")
    return value and value.lower()


EncodingOption = Annotated[
    str | None,
    typer.Option(callback=_parse_encoding, help="the encoding of a file that is not UTF-8, such as windows-1252"),
]


def command(
    file: Annotated[Path | None, typer.Argument(help="JSON lines or CSV", exists=True, dir_okay=False)] = None,
    study: Annotated[str | None, typer.Option(help="the study's id")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check every line, record nothing")] = False,
    fact: Annotated[str | None, typer.Option("--template", help="print a CSV header and an example row")] = None,
    type_name: Annotated[
        str | None, typer.Option("--type", help="the type of fact, for a CSV without a column type")
    ] = None,
    participants_only: Annotated[bool, typer.Option(help="leave out the study's own facts")] = False,
    report: Annotated[
        Path | None, typer.Option(help="write the outcome of every line to this file, as JSON lines")
    ] = None,
    encoding: EncodingOption = None,
    token: TokenOption = None,
) -> None:
    """Record the facts of a file that the study does not have yet. Exit code 1: some facts were refused."""
    if fact:
        return _print_template(fact, study, token)
    if file is None or study is None:
        raise _exit_with("Give a file and --study, or --template and a type of fact.", 2)
    _check_report(report, file)
    lines = _read_lines(file, type_name, encoding)
    import_report = ImportReport(dry_run)
    token_for: TokenFor = (lambda _role, _site: token) if token else token_source(study)
    try:
        with progress("Checking" if dry_run else "Importing", "lines") as report_progress:
            import_report.on_progress = lambda: report_progress(import_report.decided_count, len(lines))
            aborted = asyncio.run(
                _run_import(
                    study, token_for, lines, import_report, may_grant=token is None, participants_only=participants_only
                )
            )
    except KeyboardInterrupt:
        aborted = ExchangeAborted("It was interrupted.")
    _print_outcome(import_report, report)
    if aborted:
        raise _exit_with(_abort_message(aborted), 1)
    raise typer.Exit(1 if import_report.refusals else 0)


def _print_template(type_name: str, study: str | None, token: str | None) -> None:
    try:
        facts = asyncio.run(_facts_of(study, token)) if study else []
        typer.echo(render_template(type_name, facts), nl=False)
    except UnknownFactType:
        raise _exit_with("There is no fact of that type: /enrollment/docs lists them.", 2) from None
    except (ExchangeAborted, httpx.TransportError) as aborted:
        raise _exit_with(str(aborted) if isinstance(aborted, ExchangeAborted) else NO_ANSWER_MESSAGE, 1) from None
    if not study:
        typer.echo(TEMPLATE_HINT, err=True)
    elif type_name == CutTaken.type_name:
        _suggest_cut_day(study, facts)


def _suggest_cut_day(study: str, facts: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Prints the suggested data cut-off beside the template, which does not have it: the day must be stated."""
    today = read_settings(command_environment()).study_clock().today(study)
    if day := suggest_cut_day(facts, today):
        typer.echo(f"Suggested cut_on: {day}, one visit interval and its window before today.", err=True)


async def _facts_of(study_id: str, token: str | None) -> list[tuple[str, dict[str, Any]]]:
    token_for: TokenFor = (lambda _role, _site: token) if token else token_source(study_id)
    async with http_client() as http:
        study = TargetStudy(StudyClient(http, study_id, token_for))
        await study.read()
        if not study.version:
            raise ExchangeAborted(NO_STUDY, can_resume=False)
        return study.facts


def _exit_with(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)


def _abort_message(aborted: ExchangeAborted) -> str:
    if not aborted.can_resume:
        return f"Nothing was imported: {aborted}"
    return f"The import is incomplete: {aborted} Run the command again to continue."


def _check_report(report: Path | None, file: Path) -> None:
    """Ends the command, before anything is recorded, if the report could not be written."""
    if report is None:
        return
    try:
        check_folder(report)
    except UnwritableFile as error:
        raise _exit_with(str(error), 2) from None
    if report.exists() and report.samefile(file):
        raise _exit_with("The report would overwrite the imported file. Give another name.", 2)


def _read_lines(file: Path, type_name: str | None, encoding: str | None) -> list[NumberedLine]:
    """Reads JSON lines if the name says so or the text begins with a brace, which no header does; else reads CSV."""
    try:
        text = decode_text(file.read_bytes(), encoding, column_at)
        is_json = file.suffix.lower() in JSON_LINES or text.lstrip().startswith("{")
        return list(read_json_lines(text) if is_json else read_rows(text, type_name))
    except UnreadableFile as unreadable:
        raise _exit_with(str(unreadable), 2) from None
    except OSError as error:
        raise _exit_with(f"The file cannot be read: {error.strerror}.", 2) from None


async def _run_import(
    study: str,
    token_for: TokenFor,
    lines: list[NumberedLine],
    import_report: ImportReport,
    *,
    may_grant: bool,
    participants_only: bool,
) -> ExchangeAborted | None:
    """Returns the reason why the import was aborted; None if it is complete."""
    async with http_client() as http:
        try:
            await import_facts(
                StudyClient(http, study, token_for),
                lines,
                import_report,
                grants=may_grant,
                participants_only=participants_only,
            )
        except ExchangeAborted as aborted:
            return aborted
        except httpx.TransportError:
            return ExchangeAborted(NO_ANSWER_MESSAGE)
    return None


def _print_outcome(import_report: ImportReport, report: Path | None) -> None:
    refusals = import_report.refusals
    for refused in refusals[:MAX_PRINTED_REFUSALS]:
        typer.echo(str(refused))
    if len(refusals) > MAX_PRINTED_REFUSALS:
        typer.echo(f"{len(refusals) - MAX_PRINTED_REFUSALS} more lines were refused. --report FILE lists all of them.")
    for line in import_report.summary():
        typer.echo(line)
    if report:
        try:
            with write_atomically(report) as file:
                file.write(import_report.as_json_lines())
        except UnwritableFile as error:
            raise _exit_with(str(error), 1) from None
