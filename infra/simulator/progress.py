"""How far a simulation was told, kept in a file, so that the next one goes on there instead of asking for all again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

WRITTEN_EVERY = 1.0  # seconds, at most so often


class Progress:
    """`told` facts of an order were answered; `numbers` are the participants, by place, of whom more is to be told.

    `order` names the order: a file about another one, or that cannot be read, counts as none, and so does no `path`.
    What was answered after the last writing is asked again, under the same keys.
    """

    def __init__(self, path: Path | None, order: Any) -> None:
        self.told, self.numbers = 0, dict[int, str]()
        self._path, self._order = path, hashlib.sha256(json.dumps(order).encode()).hexdigest()
        self._written_at = time.monotonic()
        if path:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                self._go_on(json.loads(path.read_text()))

    def _go_on(self, kept: dict[str, Any]) -> None:
        if kept["order"] == self._order:
            numbers = {int(place): str(number) for place, number in kept["numbers"].items()}
            self.told, self.numbers = int(kept["told"]), numbers

    def one_more(self) -> None:
        self.told += 1
        if time.monotonic() - self._written_at >= WRITTEN_EVERY:
            self.write()

    def write(self) -> None:
        """Replace the file at once: it is the old one or the new one, whatever happens meanwhile."""
        if self._path is None:
            return
        kept = {"order": self._order, "told": self.told, "numbers": self.numbers}
        draft = self._path.with_name(f"{self._path.name}.part")
        with draft.open("w") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._written_at = time.monotonic()
