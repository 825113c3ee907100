from __future__ import annotations

import pytest

from shared.validation.name_suggestions import MAX_COMPARED_LENGTH, closest_name, unknown_name_message

MEMBERS = ("lesion_id", "found_on", "size_mm")


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("LesionId", "lesion_id"),
        ("found-on", "found_on"),
        ("size_mn", "size_mm"),
        ("birth_year", None),
        ("lesion_id" + "x" * MAX_COMPARED_LENGTH, None),
    ],
)
def test_closest_name_differs_in_case_separators_or_by_a_typing_error(name: str, closest: str | None) -> None:
    assert closest_name(name, MEMBERS) == closest


def test_message_lists_the_names_and_never_repeats_the_clients_own() -> None:
    message = unknown_name_message("member", "Jane Doe", MEMBERS)
    assert message == "There is no such member here. The members are: found_on, lesion_id, size_mm."
