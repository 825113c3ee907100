"""What is stated already of one participant in one service, so that it is not stated again. Pure.

A line is there already if the event that it names is, or, as often as the file says the same, an event that says the
same, as it was first stated or as it was restated since. Texts are compared where they can be read: a fact whose text
the record lacks, or has otherwise, is not there already, and is not stated a second time either.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from infra.exchange.fact import WITHHELD, canonical
from infra.exchange.line import Wrong, wrong
from infra.exchange.order import Said
from shared.contracts.enrollment import Voided
from shared.kernel.fact import Corrected, Fact, Stream
from shared.kernel.refusal import Fault
from shared.kernel.sealed import texts

EXACT, RESTATED, COVERED, NOT_COMPARED, OTHERWISE = range(5)
"""How well an event fits a line of equal published content, best first."""


@dataclass(frozen=True)
class There:
    """The event that says what a line says. `is_compared`: its texts could be compared with the line's."""

    event: str
    is_compared: bool = True


Match = There | Wrong | None
"""Where a line is in the record; why it can neither be there nor be stated; None for what is to be stated."""


@dataclass(frozen=True)
class _Wording:
    """What an event says or said: as first stated, or as a correction restated it."""

    fact: Fact
    content: str
    texts: Mapping[str, str]
    are_shown: bool
    is_first: bool = True


@dataclass
class Known:
    """`version` is that of the stream; 0 where nothing is stated yet."""

    version: int = 0
    _wordings: dict[str, list[_Wording]] = field(default_factory=dict)
    _by_content: dict[str, list[str]] = field(default_factory=dict)
    _stands: set[str] = field(default_factory=set)
    _taken: set[str] = field(default_factory=set)
    _not_compared: set[str] = field(default_factory=set)

    def read(self, stream: Stream, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in the rows of a history, the first time or again."""
        self._wordings, self._by_content, self._stands = {}, defaultdict(list), set()
        for row in rows:
            kind = stream.facts[row["type"]]
            fact = stream.read(row["type"], row.get("schema_version", kind.schema_version), json.dumps(row["data"]))
            self.version = row["version"]
            self._note(row["event_id"], fact, are_shown=row.get("texts_shown", False), is_first=True)
            if row.get("standing", True):
                self._stands.add(row["event_id"])
            if isinstance(fact, Corrected) and fact.restated:
                shown = row.get("texts_shown", False)
                self._note(str(fact.event_id), fact.restated, are_shown=shown, is_first=False)

    def _note(self, event: str, fact: Fact, *, are_shown: bool, is_first: bool) -> None:
        wording = _Wording(fact, canonical(fact), dict(texts(fact)), are_shown, is_first)
        self._wordings.setdefault(event, []).append(wording)
        self._by_content[wording.content].append(event)

    def take(self, event: str) -> None:
        """This event is a line's of the file: no other line is found to be there by it."""
        self._taken.add(event)

    def match(self, lines: Sequence[Said]) -> dict[int, Match]:
        """Find for each line the event that says the same, by the line's number: the best fits of all lines first."""
        found: dict[int, Match] = {each.line.number: self._named(each) for each in lines}
        for worst in range(OTHERWISE + 1):
            for each in lines:
                if found[each.line.number] is None:
                    found[each.line.number] = self._fitting(each, worst)
        for each in lines:
            if found[each.line.number] is None:
                found[each.line.number] = self._unsure(each)
        return found

    def _unsure(self, said: Said) -> Match:
        """Why a line that fits no event cannot be stated: it may be one whose text could not be compared."""
        if not _own_texts(said) or canonical(said.fact) not in self._not_compared:
            return None
        message = (
            "Of facts that differ in their texts only, the record has some whose texts cannot be read here: import "
            "them with a token of the participant's site."
        )
        return wrong("text-not-comparable", message)

    def has_another(self, type_name: str, lines: Sequence[Said], found: Mapping[int, Match]) -> Said | None:
        """Return the first of the lines of that type, where the record has facts of the type, and none of the lines."""
        mine = [each for each in lines if each.line.type == type_name]
        stands = any(wordings[0].fact.type_name == type_name for event, wordings in self._wordings.items()
                     if event in self._stands)  # fmt: skip
        is_there = any(isinstance(found.get(each.line.number), There) for each in mine)
        return mine[0] if mine and stands and not is_there else None

    def _named(self, said: Said) -> Match:
        """The event that the line names by its id."""
        event = said.line.event_id
        if event is None or event not in self._wordings:
            return None
        if self._wordings[event][0].content != canonical(said.fact):
            message = "The event of that id says something else. To change what it says, state a record.corrected."
            return wrong("event-says-otherwise", message, "/event_id")
        return self._found(said, event, self._fit(said, event))

    def _fitting(self, said: Said, worst: int) -> Match:
        """An event that fits the line so well, or worse than anything that can be there."""
        for event in self._by_content.get(canonical(said.fact), ()):
            if event in self._taken or (fit := self._fit(said, event)) != worst:
                continue
            return self._found(said, event, fit)
        return None

    def _found(self, said: Said, event: str, fit: int) -> Match:
        self.take(event)
        if fit == NOT_COMPARED:
            self._not_compared.add(canonical(said.fact))
        if fit == OTHERWISE:
            return Wrong(*self._differences(said, event))
        return There(event, is_compared=fit != NOT_COMPARED)

    def _fit(self, said: Said, event: str) -> int:
        return min(_fit(said, wording) for wording in self._equal(said, event))

    def _equal(self, said: Said, event: str) -> Iterator[_Wording]:
        content = canonical(said.fact)
        return (wording for wording in self._wordings[event] if wording.content == content)

    def _differences(self, said: Said, event: str) -> Iterator[Fault]:
        """What the texts of the line have that the last wording of the event has not."""
        *_, last = self._equal(said, event)
        for pointer, text in _own_texts(said).items():
            if last.texts.get(pointer) != text:
                yield _difference(pointer, is_missing=pointer not in last.texts)


def _own_texts(said: Said) -> dict[str, str]:
    """The texts that the line itself has."""
    return {pointer: text for pointer, text in texts(said.fact) if text != WITHHELD}


def _fit(said: Said, wording: _Wording) -> int:
    mine, its = _own_texts(said), {pointer: text for pointer, text in wording.texts.items() if text != WITHHELD}
    if wording.are_shown and mine == its:
        return EXACT if wording.is_first else RESTATED
    if not mine:
        return COVERED
    if not wording.are_shown:
        return NOT_COMPARED
    return COVERED if mine.items() <= its.items() else OTHERWISE


def _difference(pointer: str, *, is_missing: bool) -> Fault:
    has = "without this text" if is_missing else "with another text"
    return Fault(
        "text-not-recorded" if is_missing else "text-differs",
        f"This fact is recorded already, {has}. If the file is right, correct the recorded fact with a "
        "record.corrected; if it is another fact of the same day and kind, put both into the file.",
        pointer,
    )


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
