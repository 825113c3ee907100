"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shared.progress import ReportProgress

PRINT_INTERVAL_SECONDS = 3.0  # between two lines, if there is no terminal


@contextmanager
def progress(title: str, unit: str) -> Iterator[ReportProgress]:
    """Yields a function that shows progress on standard error; standard output is for the result of the command."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _print_progress(title, unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _print_progress(title: str, unit: str) -> ReportProgress:
    printed_at = time.monotonic()

    def report(done: int, of: int) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= PRINT_INTERVAL_SECONDS:
            printed_at = time.monotonic()
            typer.echo(f"{title}: {done} of {of} {unit}", err=True)

    return report
