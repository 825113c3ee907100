"""The function by which long work reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

ReportProgress = Callable[[int, int], None]
"""Takes how many are done, and of how many."""


def report_nothing(done: int, of: int) -> None:
    """Reports no progress."""
