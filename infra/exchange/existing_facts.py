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

from infra.exchange.fact_conversion import WITHHELD_TEXT, canonical_content
from infra.exchange.import_line import InvalidLine, invalid_line
from infra.exchange.statement_order import ImportFact
from shared.contracts.enrollment import ParticipantVoided
from shared.kernel.errors import Fault
from shared.kernel.fact import Correction, Fact, Stream
from shared.kernel.sealed_text import extract_texts

EXACT, RESTATED, CONTAINED, NOT_COMPARED, DIFFERENT = range(5)
"""How well an event fits a line of equal published content, best first."""


@dataclass(frozen=True)
class ExistingEvent:
    """The event that says what a line says. `is_compared`: its texts could be compared with the line's."""

    event_id: str
    texts_compared: bool = True


Match = ExistingEvent | InvalidLine | None
"""Where a line is in the record; why it can neither be there nor be stated; None for what is to be stated."""


@dataclass(frozen=True)
class _Wording:
    """What an event says or said: as first stated, or as a correction restated it."""

    fact: Fact
    content: str
    texts: Mapping[str, str]
    texts_readable: bool
    is_first: bool = True


@dataclass
class ExistingFacts:
    """`version` is that of the stream; 0 where nothing is stated yet."""

    version: int = 0
    _wordings: dict[str, list[_Wording]] = field(default_factory=dict)
    _events_by_content: dict[str, list[str]] = field(default_factory=dict)
    _standing_events: set[str] = field(default_factory=set)
    _claimed_events: set[str] = field(default_factory=set)
    _not_compared: set[str] = field(default_factory=set)

    def read(self, stream: Stream, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in the rows of a history, the first time or again."""
        self._wordings, self._events_by_content, self._standing_events = {}, defaultdict(list), set()
        for row in rows:
            kind = stream.facts[row["type"]]
            fact = stream.read(row["type"], row.get("schema_version", kind.schema_version), json.dumps(row["data"]))
            self.version = row["version"]
            self._add_wording(row["event_id"], fact, texts_readable=row.get("texts_shown", False), is_first=True)
            if row.get("standing", True):
                self._standing_events.add(row["event_id"])
            if isinstance(fact, Correction) and fact.replacement_fact:
                texts_readable = row.get("texts_shown", False)
                self._add_wording(
                    str(fact.event_id), fact.replacement_fact, texts_readable=texts_readable, is_first=False
                )

    def _add_wording(self, event: str, fact: Fact, *, texts_readable: bool, is_first: bool) -> None:
        wording = _Wording(fact, canonical_content(fact), dict(extract_texts(fact)), texts_readable, is_first)
        self._wordings.setdefault(event, []).append(wording)
        self._events_by_content[wording.content].append(event)

    def claim(self, event: str) -> None:
        """This event is a line's of the file: no other line is found to be there by it."""
        self._claimed_events.add(event)

    def match(self, facts: Sequence[ImportFact]) -> dict[int, Match]:
        """Find for each line the event that says the same, by the line's number: the best fits of all lines first."""
        matches: dict[int, Match] = {fact.line.number: self._match_by_event_id(fact) for fact in facts}
        for fit_level in range(DIFFERENT + 1):
            for each in facts:
                if matches[each.line.number] is None:
                    matches[each.line.number] = self._match_by_content(each, fit_level)
        for each in facts:
            if matches[each.line.number] is None:
                matches[each.line.number] = self._match_uncomparable(each)
        return matches

    def _match_uncomparable(self, fact: ImportFact) -> Match:
        """Why a line that fits no event cannot be stated: it may be one whose text could not be compared."""
        if not _own_texts(fact) or canonical_content(fact.fact) not in self._not_compared:
            return None
        message = (
            "Of facts that differ in their texts only, the record has some whose texts cannot be read here: import "
            "them with a token of the participant's site."
        )
        return invalid_line("text-not-comparable", message)

    def first_conflict(
        self, type_name: str, facts: Sequence[ImportFact], matches: Mapping[int, Match]
    ) -> ImportFact | None:
        """Return the first of the lines of that type, where the record has facts of the type, and none of the lines."""
        facts_of_type = [each for each in facts if each.line.type == type_name]
        is_recorded = any(
            wordings[0].fact.type_name == type_name
            for event, wordings in self._wordings.items()
            if event in self._standing_events
        )
        is_matched = any(isinstance(matches.get(each.line.number), ExistingEvent) for each in facts_of_type)
        return facts_of_type[0] if facts_of_type and is_recorded and not is_matched else None

    def _match_by_event_id(self, fact: ImportFact) -> Match:
        """The event that the line names by its id."""
        event = fact.line.event_id
        if event is None or event not in self._wordings:
            return None
        if self._wordings[event][0].content != canonical_content(fact.fact):
            message = "The event of that id says something else. To change what it says, state a record.corrected."
            return invalid_line("event-says-otherwise", message, "/event_id")
        return self._claim_match(fact, event, self._best_fit(fact, event))

    def _match_by_content(self, fact: ImportFact, fit_level: int) -> Match:
        """An event that fits the line so well, or worse than anything that can be there."""
        for event in self._events_by_content.get(canonical_content(fact.fact), ()):
            if event in self._claimed_events or (fit := self._best_fit(fact, event)) != fit_level:
                continue
            return self._claim_match(fact, event, fit)
        return None

    def _claim_match(self, fact: ImportFact, event: str, fit: int) -> Match:
        self.claim(event)
        if fit == NOT_COMPARED:
            self._not_compared.add(canonical_content(fact.fact))
        if fit == DIFFERENT:
            return InvalidLine(*self._text_differences(fact, event))
        return ExistingEvent(event, texts_compared=fit != NOT_COMPARED)

    def _best_fit(self, fact: ImportFact, event: str) -> int:
        return min(_rate_fit(fact, wording) for wording in self._equal_wordings(fact, event))

    def _equal_wordings(self, fact: ImportFact, event: str) -> Iterator[_Wording]:
        content = canonical_content(fact.fact)
        return (wording for wording in self._wordings[event] if wording.content == content)

    def _text_differences(self, fact: ImportFact, event: str) -> Iterator[Fault]:
        """What the texts of the line have that the last wording of the event has not."""
        *_, last = self._equal_wordings(fact, event)
        for pointer, text in _own_texts(fact).items():
            if last.texts.get(pointer) != text:
                yield _difference_fault(pointer, is_missing=pointer not in last.texts)


def _own_texts(fact: ImportFact) -> dict[str, str]:
    """The texts that the line itself has."""
    return {pointer: text for pointer, text in extract_texts(fact.fact) if text != WITHHELD_TEXT}


def _rate_fit(fact: ImportFact, wording: _Wording) -> int:
    own_texts, event_texts = (
        _own_texts(fact),
        {pointer: text for pointer, text in wording.texts.items() if text != WITHHELD_TEXT},
    )
    if wording.texts_readable and own_texts == event_texts:
        return EXACT if wording.is_first else RESTATED
    if not own_texts:
        return CONTAINED
    if not wording.texts_readable:
        return NOT_COMPARED
    return CONTAINED if own_texts.items() <= event_texts.items() else DIFFERENT


def _difference_fault(pointer: str, *, is_missing: bool) -> Fault:
    has = "without this text" if is_missing else "with another text"
    return Fault(
        "text-not-recorded" if is_missing else "text-differs",
        f"This fact is recorded already, {has}. If the file is right, correct the recorded fact with a "
        "record.corrected; if it is another fact of the same day and kind, put both into the file.",
        pointer,
    )


def translate_ids(fact: Fact, events: Mapping[str, str], numbers: Mapping[str, str]) -> Fact:
    """The fact with the ids that this study has for what a file calls by others: events, and participants."""
    match fact:
        case Correction(event_id=event):
            updates: dict[str, Any] = {"event_id": UUID(events.get(str(event), str(event)))}
            if fact.replacement:
                replacement_fact = translate_ids(fact.replacement.data, events, numbers)
                updates["replacement"] = fact.replacement.model_copy(update={"data": replacement_fact})
            return fact.model_copy(update=updates)
        case ParticipantVoided(duplicate_of=str() as number) if number in numbers:
            return fact.model_copy(update={"duplicate_of": numbers[number]})
    return fact


def with_local_ids(fact: ImportFact, events: Mapping[str, str], numbers: Mapping[str, str]) -> ImportFact:
    return replace(fact, fact=translate_ids(fact.fact, events, numbers))
