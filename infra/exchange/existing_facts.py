"""Facts that a service has already recorded of one participant, so that an import does not record them again. Pure.

A line is recorded already if the event that it names is, or if there is an event of equal content, as first recorded or
as corrected since; each event accounts for one line. Texts are compared if they can be read: a fact whose text is
missing from the record, or differs, counts as not recorded, and is not recorded a second time either.
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
"""Degrees of agreement between the texts of an event and of a line of equal published content, best first."""


@dataclass(frozen=True)
class ExistingEvent:
    """The event that equals a line. `texts_compared`: its texts could be compared with those of the line."""

    event_id: str
    texts_compared: bool = True


Match = ExistingEvent | InvalidLine | None
"""The event that equals a line; or why the line cannot be compared or recorded; None for a line to record."""


@dataclass(frozen=True)
class _Wording:
    """One wording of an event: as first recorded, or as a correction restated it."""

    fact: Fact
    content: str
    texts: Mapping[str, str]
    texts_readable: bool
    is_first: bool = True


@dataclass
class ExistingFacts:
    """The facts of one participant in one service; `version` is that of the stream, 0 if it is empty."""

    version: int = 0
    _wordings: dict[str, list[_Wording]] = field(default_factory=dict)
    _events_by_content: dict[str, list[str]] = field(default_factory=dict)
    _standing_events: set[str] = field(default_factory=set)
    _claimed_events: set[str] = field(default_factory=set)
    _not_compared: set[str] = field(default_factory=set)

    def read(self, stream: Stream, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replaces the facts by the rows of a history."""
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
        wording = _Wording(
            fact=fact,
            content=canonical_content(fact),
            texts=dict(extract_texts(fact)),
            texts_readable=texts_readable,
            is_first=is_first,
        )
        self._wordings.setdefault(event, []).append(wording)
        self._events_by_content[wording.content].append(event)

    def claim(self, event: str) -> None:
        """Notes that the event equals a line of the file, so that it matches no other line."""
        self._claimed_events.add(event)

    def match(self, facts: Sequence[ImportFact]) -> dict[int, Match]:
        """Returns the match of each line by its number. The best fits of all lines are matched first."""
        matches: dict[int, Match] = {fact.line.number: self._match_by_event_id(fact) for fact in facts}
        for fit_level in range(DIFFERENT + 1):
            for fact in facts:
                if matches[fact.line.number] is None:
                    matches[fact.line.number] = self._match_by_content(fact, fit_level)
        for fact in facts:
            if matches[fact.line.number] is None:
                matches[fact.line.number] = self._match_uncomparable(fact)
        return matches

    def _match_uncomparable(self, fact: ImportFact) -> Match:
        """Returns the fault of an unmatched line that may equal an event whose texts cannot be read here."""
        if not _own_texts(fact) or canonical_content(fact.fact) not in self._not_compared:
            return None
        message = (
            "The record has facts that differ from this one at most in their texts, which cannot be read here: import "
            "the line with a token of the participant's site."
        )
        return invalid_line("text-not-comparable", message)

    def first_conflict(
        self, type_name: str, facts: Sequence[ImportFact], matches: Mapping[int, Match]
    ) -> ImportFact | None:
        """Returns the first line of the type if the record has facts of the type, and none of them equals a line."""
        facts_of_type = [fact for fact in facts if fact.line.type == type_name]
        is_recorded = any(
            wordings[0].fact.type_name == type_name
            for event, wordings in self._wordings.items()
            if event in self._standing_events
        )
        is_matched = any(isinstance(matches.get(fact.line.number), ExistingEvent) for fact in facts_of_type)
        return facts_of_type[0] if facts_of_type and is_recorded and not is_matched else None

    def _match_by_event_id(self, fact: ImportFact) -> Match:
        """Returns the match of a line that names its event by id."""
        event = fact.line.event_id
        if event is None or event not in self._wordings:
            return None
        if self._wordings[event][0].content != canonical_content(fact.fact):
            message = "The event of that id has other content. To change it, record a record.corrected."
            return invalid_line("event-says-otherwise", message, "/event_id")
        return self._claim_match(fact, event, self._best_fit(fact, event))

    def _match_by_content(self, fact: ImportFact, fit_level: int) -> Match:
        """Returns the match with an unclaimed event whose texts fit the line at exactly this level."""
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
        """Yields a fault for each text of the line that the last wording of the event lacks or has in other words."""
        *_, last = self._equal_wordings(fact, event)
        for pointer, text in _own_texts(fact).items():
            if last.texts.get(pointer) != text:
                yield _difference_fault(pointer, is_missing=pointer not in last.texts)


def _own_texts(fact: ImportFact) -> dict[str, str]:
    """Returns the texts of the line by pointer, without placeholders."""
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


def translate_ids(fact: Fact, events: Mapping[str, str], participant_ids: Mapping[str, str]) -> Fact:
    """Returns the fact with the ids of events and participants in this study in place of those in the file."""
    match fact:
        case Correction(event_id=event):
            updates: dict[str, Any] = {"event_id": UUID(events.get(str(event), str(event)))}
            if fact.replacement:
                replacement_fact = translate_ids(fact.replacement.data, events, participant_ids)
                updates["replacement"] = fact.replacement.model_copy(update={"data": replacement_fact})
            return fact.model_copy(update=updates)
        case ParticipantVoided(duplicate_of=str() as participant_id) if participant_id in participant_ids:
            return fact.model_copy(update={"duplicate_of": participant_ids[participant_id]})
    return fact


def with_local_ids(fact: ImportFact, events: Mapping[str, str], participant_ids: Mapping[str, str]) -> ImportFact:
    return replace(fact, fact=translate_ids(fact.fact, events, participant_ids))
