"""The folder with all that a running Quartal keeps: databases, topics, secrets, logs. One Quartal at a time has it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.local.claim import InUse, claimed, open_claim


class FolderInUse(InUse):
    """Another Quartal runs on the folder; the message says which."""


class DataFolder:
    """`with folder.held(port):` makes it ours; reading secrets and notes needs no hold."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._state = self.path / "state.json"

    @contextmanager
    def held(self, port: int) -> Iterator[DataFolder]:
        """Keep every other start away for the length of the block, and note who we are.

        Raises FolderInUse, with the process and the address of the holder, when somebody was first.
        """
        _private(self.path)
        claim = self._claim()
        try:
            self._state.unlink(missing_ok=True)
            self.note(pid=os.getpid(), port=port)
            yield self
        finally:
            self._state.unlink(missing_ok=True)
            os.close(claim)

    def _claim(self) -> int:
        try:
            return open_claim(self.path / "lock")
        except InUse as taken:
            raise FolderInUse(taken.path, self._refusal()) from taken

    def running(self) -> dict[str, Any] | None:
        """What the holder noted (`pid`, `port`, and what it added), or None if nobody holds the folder."""
        if not self.path.is_dir():
            return None
        with suppress(InUse), claimed(self.path / "lock"):
            return None
        return self._notes()

    def note(self, **facts: Any) -> None:
        """Add to what `running` tells others."""
        _write(self._state, json.dumps({**self._notes(), **facts}))

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The secret of that name, made on first use; of several first uses at once, one wins for all."""
        path = self.subfolder("secrets") / name
        if not path.exists():
            with suppress(FileExistsError):
                _write(path, make(), replace=False)
        return path.read_text()

    def subfolder(self, name: str) -> Path:
        """A folder in it that only we can enter, made if absent."""
        return _private(_private(self.path) / name)

    def _notes(self) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            notes: dict[str, Any] = json.loads(self._state.read_text())
            return notes
        return {}

    def _refusal(self) -> str:
        notes = self._notes()
        who = f"process {notes['pid']} at http://127.0.0.1:{notes['port']}" if "pid" in notes else "another process"
        return (
            f"{self.path} is in use by a running Quartal ({who}). Stop it first, or set QUARTAL_DATA to another folder."
        )


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _write(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a private file whole or not at all; without `replace` an existing one raises FileExistsError."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        (os.replace if replace else os.link)(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)
