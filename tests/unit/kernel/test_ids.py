from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.kernel.ids import (
    ALPHABET,
    QUARTAL,
    Code,
    Label,
    LocalId,
    ParticipantId,
    SiteId,
    StudyId,
    check_character,
    legacy_event_id,
    new_event_id,
    new_participant_id,
    participant_id,
)

bodies = st.text(ALPHABET, min_size=8, max_size=8)
numbers = bodies.map(lambda body: body + check_character(body))


def is_a_number(text: object) -> bool:
    try:
        participant_id(text)
    except ValueError:
        return False
    return True


def test_the_example_of_the_documents_is_a_number() -> None:
    assert participant_id("K7F2-9QXA-3") == "K7F2-9QXA-3"


def test_the_alphabet_has_no_letter_that_is_read_as_another() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 32
    assert not set("ILOU") & set(ALPHABET)


@given(numbers)
def test_case_and_hyphens_do_not_matter(number: str) -> None:
    shown = f"{number[:4]}-{number[4:8]}-{number[8]}"
    for said in (number, number.lower(), shown, shown.lower(), "-".join(number)):
        assert participant_id(said) == shown


@given(numbers)
def test_any_single_wrong_character_is_caught(number: str) -> None:
    for place, right in enumerate(number):
        for wrong in set(ALPHABET) - {right}:
            assert not is_a_number(number[:place] + wrong + number[place + 1 :])


@given(numbers)
def test_two_adjacent_characters_that_change_places_are_caught_unless_they_are_0_and_z(number: str) -> None:
    for place in range(len(number) - 1):
        pair = number[place : place + 2]
        swapped = number[:place] + pair[::-1] + number[place + 2 :]
        assert is_a_number(swapped) == (pair[0] == pair[1] or set(pair) == {"0", "Z"})


@given(bodies)
def test_exactly_one_check_character_fits_a_body(body: str) -> None:
    assert [last for last in ALPHABET if is_a_number(body + last)] == [check_character(body)]


@pytest.mark.parametrize(
    "value", ["", "K7F2-9QXA", "K7F2-9QXA-33", "K7F2 9QXA 3", "K7F2-9QXA-I", "K7F2-9QXA-3\n", None, 3, b"K7F29QXA3"]
)
def test_nothing_else_is_a_number(value: object) -> None:
    assert not is_a_number(value)


def test_a_new_number_is_a_number_and_no_other_one() -> None:
    drawn = {new_participant_id() for _ in range(2000)}
    assert len(drawn) == 2000
    assert all(participant_id(number) == number for number in drawn)


def test_new_numbers_say_nothing_about_the_order_of_accrual() -> None:
    drawn = [new_participant_id() for _ in range(200)]
    assert sorted(drawn) != drawn
    assert {number[0] for number in drawn} > {drawn[0][0]}


def test_a_refused_number_is_not_quoted() -> None:
    with pytest.raises(ValueError) as refused:
        participant_id("Jane Doe")
    assert "Jane" not in str(refused.value)


def test_event_ids_are_of_version_7_and_sort_by_the_time_of_their_making() -> None:
    before = time.time_ns() // 1_000_000
    made = [new_event_id() for _ in range(500)]
    after = time.time_ns() // 1_000_000
    told = [event_id.int >> 80 for event_id in made]
    assert {(event_id.version, event_id.variant) for event_id in made} == {(7, UUID(int=8 << 60).variant)}
    assert len(set(made)) == 500
    assert told == sorted(told)
    assert before <= told[0] <= told[-1] <= after


@given(st.text(), st.text(), st.integers(0, 200), st.integers(0, 200))
def test_one_request_has_the_same_event_ids_always_and_no_other_request_has_them(
    scope: str, other: str, index: int, another: int
) -> None:
    same = (scope, index) == (other, another)
    assert (legacy_event_id(scope, index) == legacy_event_id(other, another)) == (
        same or f"{scope}/{index}" == f"{other}/{another}"
    )


def test_event_ids_of_a_request_stay_what_they_are_in_later_releases() -> None:
    assert legacy_event_id("atc-rt/enrollment/site-01/key", 0) == uuid5(QUARTAL, "atc-rt/enrollment/site-01/key/0")
    assert UUID("6f8f2f57-8b0a-5d7e-9c55-51ab6e1d7a20") == QUARTAL


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (StudyId, ["atc-rt", "a1", "x" * 32], ["a", "-atc", "atc-", "ATC", "x" * 33, "atc rt", "atc/rt", "", "atc\n"]),
        (SiteId, ["site-01", "A", "UKM_2", "x" * 32], ["-a", "*", "", "x" * 33, "site 01", "münchen", "a\n"]),
        (LocalId, ["L1", "RT-1.a", "x" * 32], [".L", "", "x" * 33, "L 1", "L/1", "L1\n"]),
        (Code, ["3.0:0114", "other", "x" * 64], [":a", "", "x" * 65, "a b", "a\n"]),
        (Label, ["PTV_7000", "GTVp^1", "~x", "-"], ["", "x" * 33, "PTV 70", "PTV\n"]),
        (ParticipantId, ["K7F2-9QXA-3", "k7f29qxa3"], ["K7F2-9QXA-4", "", "Jane Doe"]),
    ],
)
def test_an_id_has_its_shape(kind: Any, good: list[str], bad: list[str]) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    assert [adapter.validate_python(value).upper().replace("-", "") for value in good] == [
        value.upper().replace("-", "") for value in good
    ]
    for value in [*bad, 1, None, b"atc"]:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
