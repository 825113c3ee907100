"""How far a simulation was told, kept in a file, so that the next one goes on there instead of asking for all again."""

from __future__ import annotations

import heapq
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WRITTEN_EVERY = 1.0  # seconds, at most so often

Next = tuple[str, int, int]
"""The fact of a participant that is told next: its day, the participant, its place in the life."""


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
    """`told` facts were answered, of the first `begun` participants. `ahead` is a heap of what comes next of each of
    whom more is to be told, the earliest first; `known` is what was answered of them.

    `name` says of which simulation: a file of another one, or that cannot be read, counts as none, and so does no
    `path`. What was answered after the last writing is asked again, under the same keys.
    """

    def __init__(self, path: Path | None, name: list[Any]) -> None:
        self.told, self.begun = 0, 0
        self.ahead, self.known = list[Next](), dict[int, Known]()
        self._path, self._name = path, name
        self._written_at = time.monotonic()
        if path:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                self._go_on(json.loads(path.read_text()))

    def _go_on(self, kept: dict[str, Any]) -> None:
        if kept["name"] == self._name:
            known = {int(index): Known.kept(said) for index, said in kept["known"].items()}
            ahead = sorted((str(day), int(index), int(place)) for day, index, place in kept["ahead"])
            self.told, self.begun, self.ahead, self.known = int(kept["told"]), int(kept["begun"]), ahead, known

    def begin(self, first: list[Next]) -> None:
        """So many participants more, each with the first fact."""
        for each in first:
            heapq.heappush(self.ahead, each)
        self.begun += len(first)

    def one_more(self, then: Next | None) -> None:
        """The first of `ahead` was told; what comes next of that participant, if anything does."""
        _, index, _ = heapq.heapreplace(self.ahead, then) if then else heapq.heappop(self.ahead)
        if not then:
            self.known.pop(index, None)
        self.told += 1
        if time.monotonic() - self._written_at >= WRITTEN_EVERY:
            self.write()

    def write(self) -> None:
        """Replace the file at once: it is the old one or the new one, whatever happens meanwhile."""
        if self._path is None:
            return
        known = {index: asdict(each) for index, each in self.known.items()}
        kept = {"name": self._name, "told": self.told, "begun": self.begun, "ahead": self.ahead, "known": known}
        draft = self._path.with_name(f"{self._path.name}.part")
        with draft.open("w") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._written_at = time.monotonic()
