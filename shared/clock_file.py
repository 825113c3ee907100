"""The days by which studies of a local installation are advanced: a JSON file, read again whenever it changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

_AdvancedDays: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])


class ClockFile:
    """The file at `path`: an object of study ids and numbers of days. Without a file no study is advanced.

    It must be replaced as a whole by a rename, so that no reader sees half of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_version: tuple[int, int, int] | None = None
        self._days: Mapping[str, int] = {}

    def advanced_days(self) -> Mapping[str, int]:
        """Returns the days of each advanced study, as the file has them now. Raises ValueError for another content."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._read_version, self._days = None, {}
            return self._days
        version = status.st_ino, status.st_mtime_ns, status.st_size
        if version != self._read_version:
            self._days = _AdvancedDays.validate_json(self._path.read_bytes())
            self._read_version = version
        return self._days
