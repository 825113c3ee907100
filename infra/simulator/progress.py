"""How far a simulation was told, kept in a file, so that the next one goes on there instead of asking for all again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WRITTEN_EVERY = 1.0  # seconds, at most so often


@dataclass
class Known:
    """What was answered about one participant, as far as more that is to be told needs it.

    `heard` is the last `Quartal-Version` of enrollment; `events` are the ids of the events that will be corrected, by
    their place in the life.
    """

    number: str
    heard: str = ""
    events: dict[int, str] = field(default_factory=dict)

    @classmethod
    def kept(cls, said: dict[str, Any]) -> Known:
        events = {int(place): str(event_id) for place, event_id in said["events"].items()}
        return cls(str(said["number"]), str(said["heard"]), events)


class Progress:
    """`told` facts of an order were answered; `known` are the participants, by place, of whom more is to be told.

    `order` names the order: a file about another one, or that cannot be read, counts as none, and so does no `path`.
    What was answered after the last writing is asked again, under the same keys.
    """

    def __init__(self, path: Path | None, order: Any) -> None:
        self.told, self.known = 0, dict[int, Known]()
        self._path, self._order = path, hashlib.sha256(json.dumps(order).encode()).hexdigest()
        self._written_at = time.monotonic()
        if path:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                self._go_on(json.loads(path.read_text()))

    def _go_on(self, kept: dict[str, Any]) -> None:
        if kept["order"] == self._order:
            known = {int(place): Known.kept(said) for place, said in kept["known"].items()}
            self.told, self.known = int(kept["told"]), known

    def one_more(self) -> None:
        self.told += 1
        if time.monotonic() - self._written_at >= WRITTEN_EVERY:
            self.write()

    def write(self) -> None:
        """Replace the file at once: it is the old one or the new one, whatever happens meanwhile."""
        if self._path is None:
            return
        known = {place: asdict(each) for place, each in self.known.items()}
        kept = {"order": self._order, "told": self.told, "known": known}
        draft = self._path.with_name(f"{self._path.name}.part")
        with draft.open("w") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._written_at = time.monotonic()
