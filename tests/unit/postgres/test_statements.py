from __future__ import annotations

import pytest

from shared.postgres.statements import compose_statement


def test_names_take_the_place_of_fields() -> None:
    statement = compose_statement("select {columns} from {table} where day < $1", columns=["a", "b_2"], table="visits")
    assert statement == "select a, b_2 from visits where day < $1"


@pytest.mark.parametrize("text", ["", "a b", "a;", "a--", 'a"', "a'", "a.b", "A", "2a", "a\n", "$1", "**", "ä"])
@pytest.mark.parametrize("is_alone", [True, False])
def test_text_that_is_no_name_is_refused(text: str, is_alone: bool) -> None:
    with pytest.raises(ValueError, match="not a name"):
        compose_statement("select {columns}", columns=text if is_alone else ["a", text])


def test_all_columns_have_a_name() -> None:
    assert compose_statement("select {columns} from visits", columns="*") == "select * from visits"


def test_field_without_a_name_is_refused() -> None:
    with pytest.raises(KeyError):
        compose_statement("select {columns} from {table}", columns="a")
