"""The columns of data sets: what standards allow, and what records keep to."""

from __future__ import annotations

from functools import cache

import pytest

from services.analytics.datasets.column import NamedColumn, Value, columns_of
from services.analytics.datasets.data_cut import ADCUT
from services.analytics.datasets.data_set import DataSet, Record
from services.analytics.datasets.registry import DATA_SETS
from services.analytics.datasets.screening import ADSCR
from tests.unit.analytics.datasets.support import cut_cohort, various_cohort

EVERY_SET = pytest.mark.parametrize("data_set", DATA_SETS, ids=lambda data_set: data_set.name)
(ENROLLED,) = [column for column in ADSCR.columns if column.name == "ENRLDT"]
MAX_NAME, MAX_LABEL = 8, 40  # characters, by the transport format that reviewers still read


@cache
def records(data_set: DataSet) -> list[Record]:
    return [*data_set.make(cut_cohort(various_cohort()))]


@EVERY_SET
def test_names_and_labels_fit_the_transport_format(data_set: DataSet) -> None:
    columns = data_set.columns
    assert len({column.name for column in columns}) == len(columns)
    assert [column.name for column in columns if len(column.name) > MAX_NAME] == []
    assert [column.declaration.label for column in columns if len(column.declaration.label) > MAX_LABEL] == []
    assert len(data_set.label) <= MAX_LABEL


@EVERY_SET
def test_every_set_has_records_and_their_keys_identify_them(data_set: DataSet) -> None:
    names = [column.name for column in data_set.columns]
    keys = [tuple(record[names.index(key)] for key in data_set.keys) for record in records(data_set)]
    assert keys
    assert len(set(keys)) == len(keys)


@EVERY_SET
def test_values_keep_to_the_type_the_length_and_the_codes_of_their_column(data_set: DataSet) -> None:
    violations = [
        (column.name, value)
        for record in records(data_set)
        for column, value in zip(data_set.columns, record, strict=True)
        if not keeps_to(column, value)
    ]
    assert violations == []


def keeps_to(column: NamedColumn, value: Value) -> bool:
    if value is None or value == "":
        return not column.is_required
    kinds = {"string": str, "integer": int, "float": float}
    is_of_type = type(value) is kinds[column.data_type] if column.data_type in kinds else hasattr(value, "isoformat")
    codes = column.declaration.codes
    return is_of_type and len(str(value)) <= column.length and (codes is None or value in codes)


def test_member_without_a_declaration_is_refused() -> None:
    class Undeclared(tuple[Value, ...]):
        name: str

    with pytest.raises(TypeError, match=r"Undeclared\.name does not declare its column"):
        columns_of(Undeclared)


@pytest.mark.parametrize(
    "data_set",
    [data_set for data_set in DATA_SETS if data_set not in (ADSCR, ADCUT)],
    ids=lambda data_set: data_set.name,
)
def test_every_record_is_of_an_enrolled_participant(data_set: DataSet) -> None:
    (subjects,) = [records(other) for other in DATA_SETS if other.name == "ADSL"]
    enrolled = {record[1] for record in subjects}
    assert {record[1] for record in records(data_set)} <= enrolled
    assert len(enrolled) == len(subjects) == 12
    assert "P-SCREENEDX" not in enrolled


def test_screening_has_who_is_not_enrolled_too() -> None:
    screened = {record[1]: record[columns_of(ADSCR.record).index(ENROLLED)] for record in records(ADSCR)}
    assert len(screened) == 13
    assert [number for number, day in screened.items() if day is None] == ["P-SCREENEDX"]
