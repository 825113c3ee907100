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

WRITE_INTERVAL_SECONDS = 1.0  # seconds, at most so often

NextFact = tuple[str, int, int]
"""The fact of a participant that is told next: its day, the participant, its place in the life."""


@dataclass
class ParticipantProgress:
    """What was answered about one participant, as far as more that is to be told needs it.

    `heard` is the last `Quartal-Version` of enrollment; `events` are the ids of the events that will be corrected, by
    their place in the life.
    """

    number: str
    heard: str = ""
    events: dict[int, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> ParticipantProgress:
        events = {int(place): str(event_id) for place, event_id in entry["events"].items()}
        return cls(str(entry["number"]), str(entry["heard"]), events)


class SimulationProgress:
    """`told` facts were answered, of the first `begun` participants. `ahead` is a heap of what comes next of each of
    whom more is to be told, the earliest first; `known` is what was answered of them.

    `name` says of which simulation: a file of another one, or that cannot be read, counts as none, and so does no
    `path`. What was answered after the last writing is asked again, under the same keys.
    """

    def __init__(self, path: Path | None, simulation_key: list[Any]) -> None:
        self.recorded_count, self.participant_count = 0, 0
        self.queue, self.participants = list[NextFact](), dict[int, ParticipantProgress]()
        self._path, self._simulation_key = path, simulation_key
        self._written_at = time.monotonic()
        if path:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                self._restore(json.loads(path.read_text()))

    def _restore(self, document: dict[str, Any]) -> None:
        if document["name"] == self._simulation_key:
            participants = {
                int(index): ParticipantProgress.from_json(said) for index, said in document["known"].items()
            }
            queue = sorted((str(day), int(index), int(place)) for day, index, place in document["ahead"])
            self.recorded_count, self.participant_count, self.queue, self.participants = (
                int(document["told"]),
                int(document["begun"]),
                queue,
                participants,
            )

    def start_participants(self, first_facts: list[NextFact]) -> None:
        """So many participants more, each with the first fact."""
        for next_fact in first_facts:
            heapq.heappush(self.queue, next_fact)
        self.participant_count += len(first_facts)

    def complete_fact(self, following: NextFact | None) -> None:
        """The first of `ahead` was told; what comes next of that participant, if anything does."""
        _, index, _ = heapq.heapreplace(self.queue, following) if following else heapq.heappop(self.queue)
        if not following:
            self.participants.pop(index, None)
        self.recorded_count += 1
        if time.monotonic() - self._written_at >= WRITE_INTERVAL_SECONDS:
            self.write()

    def write(self) -> None:
        """Replace the file at once: it is the old one or the new one, whatever happens meanwhile."""
        if self._path is None:
            return
        participants = {index: asdict(each) for index, each in self.participants.items()}
        document = {
            "name": self._simulation_key,
            "told": self.recorded_count,
            "begun": self.participant_count,
            "ahead": self.queue,
            "known": participants,
        }
        draft = self._path.with_name(f"{self._path.name}.part")
        with draft.open("w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._written_at = time.monotonic()
