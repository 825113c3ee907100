"""Locks a folder: an advisory lock that lasts as long as any process holds its descriptor.

A descriptor passed on to a server is held by all its processes. So a folder can be locked again exactly when the last
of them has ended, however it ended; a process id in a file could not show that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.retry import poll_times

_LOCK_INTERVAL_SECONDS = 0.02
_MIN_DESCRIPTOR = 10  # the guard's shell script uses descriptor 3 itself


class LockHeld(RuntimeError):
    """Another process holds the lock file `path`."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


@contextmanager
def hold_lock(path: Path, timeout_seconds: float = 0.0) -> Iterator[int]:
    """Holds the lock file `path` inside the block and yields its descriptor, which is not inherited unless passed on.

    Raises LockHeld if another process still holds it after `timeout_seconds`.
    """
    descriptor = acquire_lock(path, timeout_seconds)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def acquire_lock(path: Path, timeout_seconds: float = 0.0) -> int:
    original = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        descriptor = fcntl.fcntl(original, fcntl.F_DUPFD_CLOEXEC, _MIN_DESCRIPTOR)
    finally:
        os.close(original)
    for _ in poll_times(interval_seconds=_LOCK_INTERVAL_SECONDS, timeout_seconds=timeout_seconds):
        if _try_lock(descriptor):
            return descriptor
    os.close(descriptor)
    raise LockHeld(path, f"{path.parent} is in use by another process.")


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
