"""Stores the progress of a simulation in a file, so that the next run continues there without repeating requests."""

from __future__ import annotations

import heapq
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITE_INTERVAL_SECONDS = 1.0  # at least, between two writes

NextFact = tuple[str, int, int]
"""The next fact of a participant: its day, the index of the participant, the index of the fact."""


@dataclass
class ParticipantProgress:
    """The parts of earlier responses that later facts of a participant need.

    `enrollment_tag` is the last `Quartal-Version` of enrollment; `events` are the ids of events that will be
    corrected, by the index of their fact. The names in JSON are those of earlier releases.
    """

    participant_id: str
    enrollment_tag: str = ""
    events: dict[int, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> ParticipantProgress:
        events = {int(index): str(event_id) for index, event_id in entry["events"].items()}
        return cls(str(entry["number"]), str(entry["heard"]), events)

    def to_json(self) -> dict[str, Any]:
        return {"number": self.participant_id, "heard": self.enrollment_tag, "events": self.events}


class SimulationProgress:
    """The progress of one simulation: facts recorded, participants begun, and the participants with facts left.

    `queue` is a heap of their next facts, the earliest first. A file of another simulation (`simulation_key`) and an
    unreadable file count as none. Requests answered after the last write are repeated under the same keys.
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
                int(index): ParticipantProgress.from_json(entry) for index, entry in document["known"].items()
            }
            queue = sorted((str(day), int(index), int(fact_index)) for day, index, fact_index in document["ahead"])
            self.recorded_count, self.participant_count, self.queue, self.participants = (
                int(document["told"]),
                int(document["begun"]),
                queue,
                participants,
            )

    def start_participants(self, first_facts: list[NextFact]) -> None:
        """Adds participants, each with the first fact."""
        for next_fact in first_facts:
            heapq.heappush(self.queue, next_fact)
        self.participant_count += len(first_facts)

    def complete_fact(self, following: NextFact | None) -> None:
        """Notes that the first fact of the queue is recorded; `following` is the participant's next fact, if any."""
        _, index, _ = heapq.heapreplace(self.queue, following) if following else heapq.heappop(self.queue)
        if not following:
            self.participants.pop(index, None)
        self.recorded_count += 1
        if time.monotonic() - self._written_at >= WRITE_INTERVAL_SECONDS:
            self.write()

    def write(self) -> None:
        """Replaces the file atomically."""
        if self._path is None:
            return
        participants = {index: participant.to_json() for index, participant in self.participants.items()}
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
