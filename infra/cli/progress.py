"""How far something long is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Told = Callable[[int, int], None]
"""Hears how much is done, and of how much."""

TOLD_EVERY = 3.0  # seconds, where there is no terminal


@contextmanager
def progress(what: str, unit: str) -> Iterator[Told]:
    """On standard error: what a command says on standard output is for others to read."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _now_and_then(what, unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _now_and_then(what: str, unit: str) -> Told:
    told_at = time.monotonic()

    def told(done: int, of: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TOLD_EVERY:
            told_at = time.monotonic()
            typer.echo(f"{what}: {done} of {of} {unit}", err=True)

    return told
