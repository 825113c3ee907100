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
    QUARTAL_NAMESPACE,
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
    normalize_participant_id,
)

bodies = st.text(ALPHABET, min_size=8, max_size=8)
valid_ids = bodies.map(lambda body: body + check_character(body))


def is_participant_id(text: object) -> bool:
    try:
        normalize_participant_id(text)
    except ValueError:
        return False
    return True


def test_documented_example_is_a_participant_id() -> None:
    assert normalize_participant_id("K7F2-9QXA-3") == "K7F2-9QXA-3"


def test_alphabet_has_no_ambiguous_letters() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 32
    assert not set("ILOU") & set(ALPHABET)


@given(valid_ids)
def test_participant_id_ignores_case_and_hyphens(participant_id: str) -> None:
    canonical = f"{participant_id[:4]}-{participant_id[4:8]}-{participant_id[8]}"
    for spelling in (participant_id, participant_id.lower(), canonical, canonical.lower(), "-".join(participant_id)):
        assert normalize_participant_id(spelling) == canonical


@given(valid_ids)
def test_single_wrong_character_is_detected(participant_id: str) -> None:
    for index, right in enumerate(participant_id):
        for wrong in set(ALPHABET) - {right}:
            assert not is_participant_id(participant_id[:index] + wrong + participant_id[index + 1 :])


@given(valid_ids)
def test_transposed_characters_are_detected_except_0_and_z(participant_id: str) -> None:
    for index in range(len(participant_id) - 1):
        pair = participant_id[index : index + 2]
        swapped = participant_id[:index] + pair[::-1] + participant_id[index + 2 :]
        assert is_participant_id(swapped) == (pair[0] == pair[1] or set(pair) == {"0", "Z"})


@given(bodies)
def test_exactly_one_check_character_fits_a_body(body: str) -> None:
    assert [last for last in ALPHABET if is_participant_id(body + last)] == [check_character(body)]


@pytest.mark.parametrize(
    "value", ["", "K7F2-9QXA", "K7F2-9QXA-33", "K7F2 9QXA 3", "K7F2-9QXA-I", "K7F2-9QXA-3\n", None, 3, b"K7F29QXA3"]
)
def test_other_values_are_not_participant_ids(value: object) -> None:
    assert not is_participant_id(value)


def test_new_participant_ids_are_valid_and_unique() -> None:
    participant_ids = {new_participant_id() for _ in range(2000)}
    assert len(participant_ids) == 2000
    assert all(normalize_participant_id(participant_id) == participant_id for participant_id in participant_ids)


def test_new_participant_ids_do_not_reveal_the_accrual_order() -> None:
    participant_ids = [new_participant_id() for _ in range(200)]
    assert sorted(participant_ids) != participant_ids
    assert {participant_id[0] for participant_id in participant_ids} > {participant_ids[0][0]}


def test_refused_participant_id_is_not_quoted() -> None:
    with pytest.raises(ValueError) as refused:
        normalize_participant_id("Jane Doe")
    assert "Jane" not in str(refused.value)


def test_event_ids_are_uuid_version_7_and_sort_by_creation_time() -> None:
    before = time.time_ns() // 1_000_000
    event_ids = [new_event_id() for _ in range(500)]
    after = time.time_ns() // 1_000_000
    timestamps_ms = [event_id.int >> 80 for event_id in event_ids]
    assert {(event_id.version, event_id.variant) for event_id in event_ids} == {(7, UUID(int=8 << 60).variant)}
    assert len(set(event_ids)) == 500
    assert timestamps_ms == sorted(timestamps_ms)
    assert before <= timestamps_ms[0] <= timestamps_ms[-1] <= after


@given(st.text(), st.text(), st.integers(0, 200), st.integers(0, 200))
def test_legacy_event_ids_are_deterministic_and_unique_per_request(
    scope: str, other: str, index: int, another: int
) -> None:
    same = (scope, index) == (other, another)
    assert (legacy_event_id(scope, index) == legacy_event_id(other, another)) == (
        same or f"{scope}/{index}" == f"{other}/{another}"
    )


def test_legacy_event_ids_are_stable_across_releases() -> None:
    assert legacy_event_id("atc-rt/enrollment/site-01/key", 0) == uuid5(
        QUARTAL_NAMESPACE, "atc-rt/enrollment/site-01/key/0"
    )
    assert UUID("6f8f2f57-8b0a-5d7e-9c55-51ab6e1d7a20") == QUARTAL_NAMESPACE


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
def test_each_id_type_validates_its_format(kind: Any, good: list[str], bad: list[str]) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    assert [adapter.validate_python(value).upper().replace("-", "") for value in good] == [
        value.upper().replace("-", "") for value in good
    ]
    for value in [*bad, 1, None, b"atc"]:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
