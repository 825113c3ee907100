"""Locks a folder: an advisory lock that lasts as long as any process holds its descriptor.

A descriptor passed on to a server is held by all its processes. So a folder can be locked again exactly when the last
of them has ended, however it ended; a process id in a file could not show that.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
    deadline = time.monotonic() + timeout_seconds
    while not _try_lock(descriptor):
        if time.monotonic() >= deadline:
            os.close(descriptor)
            raise LockHeld(path, f"{path.parent} is in use by another process.")
        time.sleep(0.02)
    return descriptor


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
