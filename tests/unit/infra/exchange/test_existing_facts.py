"""Lines of a file are matched with facts already recorded, and not with facts that are only similar."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.exchange.existing_facts import ExistingEvent, ExistingFacts, Match
from infra.exchange.fact_conversion import stated_content
from infra.exchange.import_line import ImportLine, InvalidLine
from infra.exchange.statement_order import ImportFact
from shared.contracts.catalogue import PARTICIPANT
from shared.kernel.fact import Fact
from shared.testing.builders import facts

BLEEDING, STENT = "complication: bleeding", "stent"


def import_lines(*facts_: Fact, **options: Any) -> list[ImportFact]:
    return [
        ImportFact(ImportLine(number, fact.type_name, "enrollment", {}, "p1", True, **options), fact)
        for number, fact in enumerate(facts_, 2)
    ]


def recorded_facts(*facts_: Fact, texts_shown: bool = True) -> ExistingFacts:
    """Returns facts whose events have the ids 1, 2, 3 …; the importer may read their texts if `texts_shown`."""
    existing = ExistingFacts()
    rows = [
        {
            "event_id": str(UUID(int=version)),
            "version": version,
            "type": fact.type_name,
            "texts_shown": texts_shown,
            "standing": True,
            "data": stated_content(fact) if texts_shown else fact.model_dump(mode="json"),
        }
        for version, fact in enumerate(facts_, 1)
    ]
    existing.read(PARTICIPANT, rows)
    return existing


def match_results(existing: ExistingFacts, *facts_: Fact) -> list[object]:
    """Returns for each line its event, negative if texts could not be compared; an error code; or None."""
    return [_match_result(match) for match in existing.match(import_lines(*facts_)).values()]


def _match_result(match: Match) -> object:
    match match:
        case ExistingEvent(event_id=event, texts_compared=is_compared):
            return UUID(event).int if is_compared else -UUID(event).int
        case InvalidLine(faults=faults):
            return faults[0].code
    return None


def test_each_recorded_fact_matches_one_line() -> None:
    existing = recorded_facts(facts.procedure_performed(), facts.procedure_performed())
    assert match_results(
        existing,
        facts.procedure_performed(),
        facts.procedure_performed(),
        facts.procedure_performed(),
        facts.procedure_performed(1),
    ) == [
        1,
        2,
        None,
        None,
    ]
    assert existing.version == 2


def test_text_missing_in_the_record_is_refused() -> None:
    existing = recorded_facts(facts.procedure_performed())
    (match,) = existing.match(import_lines(facts.procedure_performed(detail=BLEEDING))).values()
    assert isinstance(match, InvalidLine)
    assert [(fault.code, fault.pointer) for fault in match.faults] == [("text-not-recorded", "/detail")]
    assert "record.corrected" in match.faults[0].message
    assert BLEEDING not in match.faults[0].message


def test_text_that_differs_from_the_record_is_refused() -> None:
    assert match_results(
        recorded_facts(facts.procedure_performed(detail=STENT)), facts.procedure_performed(detail=BLEEDING)
    ) == ["text-differs"]


def test_line_without_text_matches_a_recorded_fact_with_text() -> None:
    assert match_results(recorded_facts(facts.procedure_performed(detail=STENT)), facts.procedure_performed()) == [1]


def test_lines_that_differ_in_texts_match_their_own_events_in_any_order() -> None:
    recorded_texts = (
        facts.procedure_performed(detail=STENT),
        facts.procedure_performed(),
        facts.procedure_performed(detail=BLEEDING),
    )
    for file_facts in itertools.permutations(recorded_texts):
        assert match_results(recorded_facts(*recorded_texts), *file_facts) == [
            recorded_texts.index(fact) + 1 for fact in file_facts
        ]


def test_second_line_with_another_text_is_a_new_fact() -> None:
    existing = recorded_facts(facts.procedure_performed(detail=STENT))
    assert match_results(
        existing, facts.procedure_performed(detail=BLEEDING), facts.procedure_performed(detail=STENT)
    ) == [None, 1]


def test_unreadable_texts_are_not_compared() -> None:
    hidden = recorded_facts(facts.procedure_performed(detail=STENT), texts_shown=False)
    assert match_results(hidden, facts.procedure_performed(detail=BLEEDING)) == [-1]
    hidden = recorded_facts(facts.procedure_performed(detail=STENT), texts_shown=False)
    assert match_results(hidden, facts.procedure_performed()) == [1]


def test_indistinguishable_lines_are_refused() -> None:
    hidden = recorded_facts(facts.procedure_performed(detail=STENT), texts_shown=False)
    assert match_results(
        hidden, facts.procedure_performed(detail=BLEEDING), facts.procedure_performed(detail=STENT)
    ) == [-1, "text-not-comparable"]


def test_corrected_fact_matches_its_old_and_new_content() -> None:
    corrected = facts.correction(UUID(int=1), facts.procedure_performed(detail=STENT))
    assert match_results(
        recorded_facts(facts.procedure_performed(), corrected), facts.procedure_performed(detail=STENT)
    ) == [1]
    assert match_results(recorded_facts(facts.procedure_performed(), corrected), facts.procedure_performed()) == [1]
    date_correction = facts.correction(UUID(int=1), facts.procedure_performed(1))
    assert match_results(
        recorded_facts(facts.procedure_performed(), date_correction), facts.procedure_performed(1)
    ) == [1]
    assert match_results(
        recorded_facts(facts.procedure_performed(), corrected), facts.procedure_performed(detail=BLEEDING)
    ) == ["text-differs"]


def test_line_with_an_event_id_matches_only_equal_content() -> None:
    second = str(UUID(int=2))
    named = import_lines(facts.procedure_performed(), event_id=second)
    assert [
        _match_result(match)
        for match in recorded_facts(facts.procedure_performed(), facts.procedure_performed()).match(named).values()
    ] == [2]
    other = import_lines(facts.procedure_performed(1), event_id=second)
    (match,) = recorded_facts(facts.procedure_performed(), facts.procedure_performed()).match(other).values()
    assert isinstance(match, InvalidLine)
    assert match.faults[0].code == "event-says-otherwise"
    assert "record.corrected" in match.faults[0].message
    with_text = import_lines(facts.procedure_performed(detail=STENT), event_id=second)
    text_matches = recorded_facts(facts.procedure_performed(), facts.procedure_performed()).match(with_text).values()
    assert [_match_result(match) for match in text_matches] == ["text-not-recorded"]


TEXTS = st.sampled_from([None, "a", "b", "c"])


@given(st.lists(TEXTS, max_size=5), st.permutations(range(5)))
def test_reimported_file_matches_its_recorded_facts(texts: list[str | None], order: list[int]) -> None:
    file_facts = [facts.procedure_performed(detail=text) for text in texts]
    recorded = [file_facts[index] for index in order if index < len(file_facts)]
    places = match_results(recorded_facts(*recorded), *file_facts)
    assert sorted(places, key=str) == sorted(range(1, len(file_facts) + 1), key=str)


@pytest.mark.parametrize("texts_shown", [True, False])
def test_no_event_matches_two_lines(texts_shown: bool) -> None:
    """Each line has a result of its own."""
    existing = recorded_facts(
        facts.procedure_performed(detail=STENT), facts.procedure_performed(), texts_shown=texts_shown
    )
    file_facts = [facts.procedure_performed(detail=text) for text in (STENT, BLEEDING, None, STENT)]
    places = [abs(index) for index in match_results(existing, *file_facts) if isinstance(index, int)]
    assert len(places) == len(set(places))
