"""`quartal parked`: lists, retries and discards parked streams and unreadable messages."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from infra.cli import stuck_streams
from infra.cli.event_handlers import EVENT_HANDLERS
from shared.inbox.batch import BatchResult
from shared.inbox.parked import ParkedItemNotFound
from shared.postgres.errors import FAILED_QUERY

app = typer.Typer(
    no_args_is_help=True, help="List, retry or discard the streams and messages that a consumer could not apply."
)
T = TypeVar("T")
ConsumerArgument = Annotated[str, typer.Argument(help=" | ".join(EVENT_HANDLERS))]
SourceArgument = Annotated[
    str | None, typer.Argument(help="source of the stream, as `list` shows it: /studies/…/enrollment")
]
SubjectArgument = Annotated[
    str | None, typer.Argument(help="subject of the stream: a participant's number or the study")
]
MessageOption = Annotated[int | None, typer.Option(help="number of an unreadable message, instead of a stream")]


STREAM_COLUMNS = ("consumer", "source", "subject", "applied up to", "reason", "since", "waiting")
MESSAGE_COLUMNS = ("consumer", "message", "topic", "partition", "offset", "reason", "since")


@app.command("list")
def list_command(service: Annotated[str | None, typer.Option(help="only this consumer")] = None) -> None:
    """List parked streams and unreadable messages with their reasons. Other programs get lines separated by tabs."""
    stuck_by_consumer = {
        consumer: _run_or_exit(stuck_streams.find_stuck(consumer))
        for consumer in ([_require_consumer(service)] if service else EVENT_HANDLERS)
    }
    has_rows = False
    for title, columns, rows in (
        ("Parked streams", STREAM_COLUMNS, _stream_rows(stuck_by_consumer)),
        ("Unreadable messages", MESSAGE_COLUMNS, _message_rows(stuck_by_consumer)),
    ):
        has_rows = _print_rows(title, columns, list(rows)) or has_rows
    if not has_rows:
        typer.echo("There are no parked streams and no unreadable messages.", err=True)


@app.command("retry")
def retry_command(
    service: ConsumerArgument,
    source: SourceArgument = None,
    subject: SubjectArgument = None,
    message: MessageOption = None,
    everything: Annotated[bool, typer.Option("--all", help="every parked stream and unreadable message")] = False,
) -> None:
    """Try again to apply a parked stream or an unreadable message. Exit code 1: something is still parked."""
    _require_exactly_one(everything, message is not None, bool(source and subject))
    if everything:
        results = _run_or_exit(stuck_streams.retry_all(_require_consumer(service)))
    elif message is not None:
        results = [_run_or_exit(stuck_streams.retry_message(_require_consumer(service), message))]
    else:
        results = [_run_or_exit(stuck_streams.retry(_require_consumer(service), str(source), str(subject)))]
    raise typer.Exit(_print_results(results))


@app.command("discard")
def discard_command(
    service: ConsumerArgument,
    reason: Annotated[str, typer.Option(help="the reason; it is stored with your name")],
    source: SourceArgument = None,
    subject: SubjectArgument = None,
    message: MessageOption = None,
    by: Annotated[str | None, typer.Option(help="name of the person who decides; without it, the login name")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
) -> None:
    """Skip the next event of a parked stream, or an unreadable message, for good. Apply the events behind it."""
    _require_exactly_one(message is not None, bool(source and subject))
    name, trimmed_reason = (by or getpass.getuser()).strip(), reason.strip()
    if not (name and trimmed_reason):
        _exit_with_usage_error("The reason and the name of the person who decides must not be empty.")
    if message is not None:
        _confirm(yes, f"Discard message {message} of {_require_consumer(service)}?")
        _run_or_exit(stuck_streams.discard_message(service, message, name, trimmed_reason))
        return typer.echo(f"message {message}: discarded")
    stream = _run_or_exit(stuck_streams.find_stream(_require_consumer(service), str(source), str(subject)))
    version = f"version {stream.version + 1} of {source} {subject}"
    _confirm(yes, f"Discard {version} in {service} ({stream.reason})?")
    applied = _run_or_exit(stuck_streams.discard(service, stream, name, trimmed_reason))
    typer.echo(f"{version}: discarded")
    raise typer.Exit(_print_results([applied]))


def _stream_rows(stuck_by_consumer: Mapping[str, stuck_streams.StuckItems]) -> Iterator[tuple[str, ...]]:
    for service, (streams, _) in stuck_by_consumer.items():
        for stream in streams:
            waiting = _format_time(stream.since), str(stream.waiting)
            yield service, stream.source, stream.subject, str(stream.version), stream.reason, *waiting


def _message_rows(stuck_by_consumer: Mapping[str, stuck_streams.StuckItems]) -> Iterator[tuple[str, ...]]:
    for service, (_, messages) in stuck_by_consumer.items():
        for message in messages:
            location = message.topic, str(message.partition), str(message.offset)
            yield service, str(message.id), *location, message.reason, _format_time(message.since)


def _format_time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Prints a table on a terminal, else lines separated by tabs; returns whether there are any rows."""
    if rows and sys.stdout.isatty():
        table = Table(*columns, title=title)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    elif rows:
        typer.echo("\n".join("\t".join(row) for row in rows))
    return bool(rows)


def _require_consumer(service: str) -> str:
    if service not in EVENT_HANDLERS:
        _exit_with_usage_error(f"There is no consumer {service!r}. Use one of: {', '.join(EVENT_HANDLERS)}.")
    return service


def _require_exactly_one(*choices: bool) -> None:
    if sum(choices) != 1:
        _exit_with_usage_error(
            "Give either SOURCE and SUBJECT of one stream, or --message with a number, or, for retry, --all."
        )


def _confirm(yes: bool, question: str) -> None:
    if not yes and not typer.confirm(f"{question} It will never be applied."):
        raise typer.Exit(1)


def _print_results(results: Sequence[BatchResult]) -> int:
    """Prints a line for each item that is still parked, and one for the applied events; returns the exit code."""
    still_parked = [parked_stream for applied in results for parked_stream in applied.parked]
    for stream in still_parked:
        typer.echo(f"{stream.source} {stream.subject}: still parked after version {stream.version}: {stream.reason}")
    unreadable = [reason for applied in results for reason in applied.unreadable]
    for reason in unreadable:
        typer.echo(f"a message is still unreadable: {reason}")
    typer.echo(f"events applied: {sum(len(applied.events) for applied in results)}")
    return 1 if still_parked or unreadable else 0


def _exit_with_usage_error(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(2)


def _run_or_exit(action: Coroutine[Any, Any, T]) -> T:
    """Returns the result of `action`; ends the command with a message and exit code 1 if it fails."""
    try:
        return asyncio.run(action)
    except ParkedItemNotFound:
        typer.echo("This stream or message is not parked. `quartal parked list` shows what is.", err=True)
    except FAILED_QUERY as fault:
        typer.echo(f"The database refused or does not answer ({type(fault).__name__}). Try again.", err=True)
    raise typer.Exit(1)
