"""Which lines of a file are in the record already, and which are not although they look alike."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.exchange.fact import stated
from infra.exchange.known import Known, Match, There
from infra.exchange.line import Line, Wrong
from infra.exchange.order import Said
from shared.contracts.catalogue import PARTICIPANT
from shared.kernel.fact import Fact
from shared.testing import facts

BLEEDING, STENT = "complication: bleeding", "stent"


def lines(*told: Fact, **more: Any) -> list[Said]:
    return [Said(Line(number, fact.type_name, "enrollment", {}, "p1", True, **more), fact)
            for number, fact in enumerate(told, 2)]  # fmt: skip


def record(*told: Fact, shown: bool = True) -> Known:
    """A record of these facts, whose events are named 1, 2, 3 …; texts are read if `shown`."""
    known = Known()
    rows = [{"event_id": str(UUID(int=place)), "version": place, "type": fact.type_name, "texts_shown": shown,
             "standing": True, "data": stated(fact) if shown else fact.model_dump(mode="json")}
            for place, fact in enumerate(told, 1)]  # fmt: skip
    known.read(PARTICIPANT, rows)
    return known


def found(known: Known, *told: Fact) -> list[object]:
    """For each line the place of the event that says the same, the code of what is wrong, or None."""
    return [_plain(match) for match in known.match(lines(*told)).values()]


def _plain(match: Match) -> object:
    match match:
        case There(event=event, is_compared=is_compared):
            return UUID(event).int if is_compared else -UUID(event).int
        case Wrong(faults=faults):
            return faults[0].code
    return None


def test_a_fact_is_there_as_often_as_it_was_stated() -> None:
    known = record(facts.procedure(), facts.procedure())
    assert found(known, facts.procedure(), facts.procedure(), facts.procedure(), facts.procedure(1)) == [
        1,
        2,
        None,
        None,
    ]
    assert known.version == 2


def test_a_text_that_the_record_lacks_is_not_there_already() -> None:
    known = record(facts.procedure())
    (match,) = known.match(lines(facts.procedure(detail=BLEEDING))).values()
    assert isinstance(match, Wrong)
    assert [(fault.code, fault.pointer) for fault in match.faults] == [("text-not-recorded", "/detail")]
    assert "record.corrected" in match.faults[0].message
    assert BLEEDING not in match.faults[0].message


def test_another_text_than_the_recorded_one_is_refused() -> None:
    assert found(record(facts.procedure(detail=STENT)), facts.procedure(detail=BLEEDING)) == ["text-differs"]


def test_a_line_without_the_text_says_nothing_that_the_record_lacks() -> None:
    assert found(record(facts.procedure(detail=STENT)), facts.procedure()) == [1]


def test_lines_that_differ_in_their_texts_only_find_their_own_events_whatever_their_order() -> None:
    known = (facts.procedure(detail=STENT), facts.procedure(), facts.procedure(detail=BLEEDING))
    for told in itertools.permutations(known):
        assert found(record(*known), *told) == [known.index(fact) + 1 for fact in told]


def test_a_second_line_with_another_text_is_another_fact() -> None:
    known = record(facts.procedure(detail=STENT))
    assert found(known, facts.procedure(detail=BLEEDING), facts.procedure(detail=STENT)) == [None, 1]


def test_texts_that_cannot_be_read_are_not_compared() -> None:
    hidden = record(facts.procedure(detail=STENT), shown=False)
    assert found(hidden, facts.procedure(detail=BLEEDING)) == [-1]
    hidden = record(facts.procedure(detail=STENT), shown=False)
    assert found(hidden, facts.procedure()) == [1]


def test_of_lines_that_cannot_be_told_apart_none_is_stated_twice() -> None:
    hidden = record(facts.procedure(detail=STENT), shown=False)
    assert found(hidden, facts.procedure(detail=BLEEDING), facts.procedure(detail=STENT)) == [-1, "text-not-comparable"]


def test_a_fact_that_was_restated_is_there_in_both_wordings() -> None:
    corrected = facts.correction(UUID(int=1), facts.procedure(detail=STENT))
    assert found(record(facts.procedure(), corrected), facts.procedure(detail=STENT)) == [1]
    assert found(record(facts.procedure(), corrected), facts.procedure()) == [1]
    moved = facts.correction(UUID(int=1), facts.procedure(1))
    assert found(record(facts.procedure(), moved), facts.procedure(1)) == [1]
    assert found(record(facts.procedure(), corrected), facts.procedure(detail=BLEEDING)) == ["text-differs"]


def test_an_event_that_is_named_is_there_only_if_it_says_the_same() -> None:
    second = str(UUID(int=2))
    named = lines(facts.procedure(), event_id=second)
    assert [_plain(match) for match in record(facts.procedure(), facts.procedure()).match(named).values()] == [2]
    other = lines(facts.procedure(1), event_id=second)
    (match,) = record(facts.procedure(), facts.procedure()).match(other).values()
    assert isinstance(match, Wrong)
    assert match.faults[0].code == "event-says-otherwise"
    assert "record.corrected" in match.faults[0].message
    with_text = lines(facts.procedure(detail=STENT), event_id=second)
    found_text = record(facts.procedure(), facts.procedure()).match(with_text).values()
    assert [_plain(match) for match in found_text] == ["text-not-recorded"]


TEXTS = st.sampled_from([None, "a", "b", "c"])


@given(st.lists(TEXTS, max_size=5), st.permutations(range(5)))
def test_what_was_recorded_from_a_file_is_there_when_the_file_is_read_again(
    texts: list[str | None], order: list[int]
) -> None:
    told = [facts.procedure(detail=text) for text in texts]
    recorded = [told[place] for place in order if place < len(told)]
    places = found(record(*recorded), *told)
    assert sorted(places, key=str) == sorted(range(1, len(told) + 1), key=str)


@pytest.mark.parametrize("shown", [True, False])
def test_no_line_is_lost(shown: bool) -> None:
    """Every line has an outcome, and no event stands for two lines."""
    known = record(facts.procedure(detail=STENT), facts.procedure(), shown=shown)
    told = [facts.procedure(detail=text) for text in (STENT, BLEEDING, None, STENT)]
    places = [abs(place) for place in found(known, *told) if isinstance(place, int)]
    assert len(places) == len(set(places))
