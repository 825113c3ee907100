"""The folder of databases, topics, secrets and logs of a running Quartal. One Quartal at a time can hold it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.local.folder_lock import LockHeld, acquire_lock, hold_lock


class FolderInUse(LockHeld):
    """Another Quartal runs on the folder; the message names it."""


class DataFolder:
    """A data folder. `with folder.hold(port):` locks it; reading secrets and notes needs no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._state = self.path / "state.json"

    @contextmanager
    def hold(self, port: int) -> Iterator[DataFolder]:
        """Locks the folder for the length of the block, and note the process and the port.

        Raises FolderInUse, with the process and the address of the holder, if the folder is locked already.
        """
        _make_private(self.path)
        lock_descriptor = self._acquire_lock()
        try:
            self._state.unlink(missing_ok=True)
            self.add_notes(pid=os.getpid(), port=port)
            yield self
        finally:
            self._state.unlink(missing_ok=True)
            os.close(lock_descriptor)

    def _acquire_lock(self) -> int:
        try:
            return acquire_lock(self.path / "lock")
        except LockHeld as error:
            raise FolderInUse(error.path, self._in_use_message()) from error

    def holder_notes(self) -> dict[str, Any] | None:
        """Returns the notes of the holder (`pid`, `port`, and its additions); None if no process holds the folder."""
        if not self.path.is_dir():
            return None
        with suppress(LockHeld), hold_lock(self.path / "lock"):
            return None
        return self._read_notes()

    def add_notes(self, **notes: Any) -> None:
        """Adds to the notes that `holder_notes` returns to other processes."""
        _write_private(self._state, json.dumps({**self._read_notes(), **notes}))

    def secret(self, name: str, generate: Callable[[], str]) -> str:
        """Returns the secret of that name, made on first use; concurrent first uses return the same secret."""
        path = self.subfolder("secrets") / name
        if not path.exists():
            with suppress(FileExistsError):
                _write_private(path, generate(), replace=False)
        return path.read_text()

    @property
    def clock_file(self) -> Path:
        """The file of the days by which studies are advanced; see `shared/clock_file.py`."""
        return self.path / "clock.json"

    def write_clock(self, days: Mapping[str, int]) -> None:
        """Replaces the clock file, which running services read again at once."""
        _write_private(self.clock_file, json.dumps(days))

    def subfolder(self, name: str) -> Path:
        """Returns a subfolder that only its owner can enter, made if absent."""
        return _make_private(_make_private(self.path) / name)

    def _read_notes(self) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            notes: dict[str, Any] = json.loads(self._state.read_text())
            return notes
        return {}

    def _in_use_message(self) -> str:
        notes = self._read_notes()
        holder = f"process {notes['pid']} at http://127.0.0.1:{notes['port']}" if "pid" in notes else "another process"
        return (
            f"{self.path} is in use by a running Quartal ({holder}). Stop it first, or set "
            f"QUARTAL_DATA to another folder."
        )


def _make_private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Writes a private file whole or not at all; without `replace` an existing one raises FileExistsError."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        (os.replace if replace else os.link)(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)
