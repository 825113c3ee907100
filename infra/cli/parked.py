"""`quartal parked`: streams and messages that stand still, and what a person can do about them."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from infra.cli import standing
from infra.cli.effects import EFFECTS
from shared.inbox.apply import Applied
from shared.inbox.parked import NotParked

app = typer.Typer(
    no_args_is_help=True, help="List, retry or discard the streams and messages that a consumer could not apply."
)
T = TypeVar("T")
Service = Annotated[str, typer.Argument(help=" | ".join(EFFECTS))]
Source = Annotated[str | None, typer.Argument(help="source of the stream, as `list` shows it: /studies/…/enrollment")]
Subject = Annotated[str | None, typer.Argument(help="subject of the stream: a participant's number or the study")]
Message = Annotated[int | None, typer.Option(help="number of an unreadable message, instead of a stream")]


STREAM = ("consumer", "source", "subject", "applied up to", "reason", "since", "waiting")
MESSAGE = ("consumer", "message", "topic", "partition", "offset", "reason", "since")


@app.command("list")
def list_command(service: Annotated[str | None, typer.Option(help="only this consumer")] = None) -> None:
    """List parked streams and unreadable messages with their reasons. Other programs get lines separated by tabs."""
    found = {each: _run(standing.found(each)) for each in ([_known(service)] if service else EFFECTS)}
    shown = False
    for title, columns, rows in (
        ("Parked streams", STREAM, _streams(found)),
        ("Unreadable messages", MESSAGE, _messages(found)),
    ):
        shown = _show(title, columns, list(rows)) or shown
    if not shown:
        typer.echo("There are no parked streams and no unreadable messages.", err=True)


@app.command("retry")
def retry_command(
    service: Service,
    source: Source = None,
    subject: Subject = None,
    message: Message = None,
    everything: Annotated[bool, typer.Option("--all", help="every parked stream and unreadable message")] = False,
) -> None:
    """Try again to apply a parked stream or an unreadable message. Exit code 1: something is still parked."""
    _one_of(everything, message is not None, bool(source and subject))
    if everything:
        done = _run(standing.retry_all(_known(service)))
    elif message is not None:
        done = [_run(standing.retry_message(_known(service), message))]
    else:
        done = [_run(standing.retry(_known(service), str(source), str(subject)))]
    raise typer.Exit(_tell(done))


@app.command("discard")
def discard_command(
    service: Service,
    reason: Annotated[str, typer.Option(help="the reason; it is stored with your name")],
    source: Source = None,
    subject: Subject = None,
    message: Message = None,
    by: Annotated[str | None, typer.Option(help="name of the person who decides; without it, the login name")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
) -> None:
    """Skip the next event of a parked stream, or an unreadable message, for good. Apply the events behind it."""
    _one_of(message is not None, bool(source and subject))
    name, why = (by or getpass.getuser()).strip(), reason.strip()
    if not (name and why):
        _end("The reason and the name of the person who decides must not be empty.")
    if message is not None:
        _confirmed(yes, f"Discard message {message} of {_known(service)}?")
        _run(standing.discard_message(service, message, name, why))
        return typer.echo(f"message {message}: discarded")
    stream = _run(standing.stream(_known(service), str(source), str(subject)))
    version = f"version {stream.version + 1} of {source} {subject}"
    _confirmed(yes, f"Discard {version} in {service} ({stream.reason})?")
    applied = _run(standing.discard(service, stream, name, why))
    typer.echo(f"{version}: discarded")
    raise typer.Exit(_tell([applied]))


def _streams(found: Mapping[str, standing.Found]) -> Iterator[tuple[str, ...]]:
    for service, (streams, _) in found.items():
        for each in streams:
            waits = _time(each.since), str(each.waiting)
            yield service, each.source, each.subject, str(each.version), each.reason, *waits


def _messages(found: Mapping[str, standing.Found]) -> Iterator[tuple[str, ...]]:
    for service, (_, messages) in found.items():
        for each in messages:
            where = each.topic, str(each.partition), str(each.offset)
            yield service, str(each.id), *where, each.reason, _time(each.since)


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Is there anything to show? Lines have no heading and tabs between, for other programs."""
    if rows and sys.stdout.isatty():
        table = Table(*columns, title=title)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    elif rows:
        typer.echo("\n".join("\t".join(row) for row in rows))
    return bool(rows)


def _known(service: str) -> str:
    if service not in EFFECTS:
        _end(f"There is no consumer {service!r}. Use one of: {', '.join(EFFECTS)}.")
    return service


def _one_of(*said: bool) -> None:
    if sum(said) != 1:
        _end("Give either SOURCE and SUBJECT of one stream, or --message with a number, or, for retry, --all.")


def _confirmed(yes: bool, question: str) -> None:
    if not yes and not typer.confirm(f"{question} It will never be applied."):
        raise typer.Exit(1)


def _tell(done: Sequence[Applied]) -> int:
    """One line on each thing that stands still, and one on what was applied; the command's exit code."""
    still = [each for applied in done for each in applied.parked]
    for each in still:
        typer.echo(f"{each.source} {each.subject}: still parked after version {each.version}: {each.reason}")
    unreadable = [reason for applied in done for reason in applied.unreadable]
    for reason in unreadable:
        typer.echo(f"a message is still unreadable: {reason}")
    typer.echo(f"events applied: {sum(len(applied.events) for applied in done)}")
    return 1 if still or unreadable else 0


def _end(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(2)


def _run(act: Coroutine[Any, Any, T]) -> T:
    """What `act` gives; ends the command with a sentence and code 1 where it cannot be done."""
    try:
        return asyncio.run(act)
    except NotParked:
        typer.echo("This stream or message is not parked. `quartal parked list` shows what is.", err=True)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        typer.echo(f"The database refused or does not answer ({type(fault).__name__}). Try again.", err=True)
    raise typer.Exit(1)
