"""What is stated already of one participant in one service, so that it is not stated again. Pure.

A line is there already if the event that it names is, or, as often as the file says the same, a fact of equal content.
That a fact was corrected since does not matter: an export has both, and so has the stream.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from infra.exchange.fact import agree, canonical
from infra.exchange.line import wrong
from infra.exchange.order import Said
from shared.contracts.enrollment import Voided
from shared.kernel.fact import Corrected, Fact, Stream


@dataclass
class Known:
    """`version` is that of the stream; 0 where nothing is stated yet."""

    version: int = 0
    _by_id: dict[str, Fact] = field(default_factory=dict)
    _by_content: dict[str, list[str]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def read(self, stream: Stream, rows: Iterable[Mapping[str, Any]]) -> None:
        """From the rows of a history, the first time or again."""
        self._by_id, self._by_content = {}, defaultdict(list)
        for row in rows:
            kind = stream.facts[row["type"]]
            fact = stream.read(row["type"], row.get("schema_version", kind.schema_version), json.dumps(row["data"]))
            self.version = row["version"]
            self._by_id[row["event_id"]] = fact
            self._by_content[canonical(fact)].append(row["event_id"])

    def take(self, event: str) -> None:
        """This event is a line's of the file: no other line is found to be there by it."""
        self._taken.add(event)

    def find(self, said: Said) -> str | None:
        """The id of the event that says so already; raises Wrong where that event says something else."""
        if event := self._named(said):
            return event
        for event in self._by_content.get(canonical(said.fact), ()):
            if event not in self._taken and agree(said.fact, self._by_id[event]):
                self.take(event)
                return event
        return None

    def _named(self, said: Said) -> str | None:
        event = said.line.event_id
        fact = self._by_id.get(event) if event else None
        if fact is None:
            return None
        if canonical(fact) != canonical(said.fact):
            raise wrong("event-says-otherwise", "The event of that id says something else.", "/event_id")
        self.take(str(event))
        return event


def translated(fact: Fact, events: Mapping[str, str], numbers: Mapping[str, str]) -> Fact:
    """The fact with the ids that this study has for what a file calls by others: events, and participants."""
    match fact:
        case Corrected(event_id=event):
            changed: dict[str, Any] = {"event_id": UUID(events.get(str(event), str(event)))}
            if fact.replacement:
                again = translated(fact.replacement.data, events, numbers)
                changed["replacement"] = fact.replacement.model_copy(update={"data": again})
            return fact.model_copy(update=changed)
        case Voided(duplicate_of=str() as number) if number in numbers:
            return fact.model_copy(update={"duplicate_of": numbers[number]})
    return fact


def here(said: Said, events: Mapping[str, str], numbers: Mapping[str, str]) -> Said:
    return replace(said, fact=translated(said.fact, events, numbers))
