from __future__ import annotations

import re
from calendar import isleap
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.kernel.partial_date import ClinicalDate, Day, PartialDate

days = st.dates(date(1900, 1, 1), date(2100, 12, 31))
date_texts = st.one_of(
    days.map(date.isoformat), days.map(lambda day: day.isoformat()[:7]), days.map(lambda day: day.isoformat()[:4])
)


class Diagnosis(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    diagnosed_on: ClinicalDate
    reported_on: Day | None = None


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("2024-03-07", date(2024, 3, 7), date(2024, 3, 7)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2023-02", date(2023, 2, 1), date(2023, 2, 28)),
        ("2024-12", date(2024, 12, 1), date(2024, 12, 31)),
        ("2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("1900", date(1900, 1, 1), date(1900, 12, 31)),
        ("2100-12-31", date(2100, 12, 31), date(2100, 12, 31)),
    ],
)
def test_partial_date_spans_all_of_its_days(text: str, earliest: date, latest: date) -> None:
    when = PartialDate.parse(text)
    assert (when.earliest, when.latest, str(when)) == (earliest, latest, text)
    assert when.is_exact == (len(text) == 10)


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "",
        " 2024-03-07",
        "2024-03-07 ",
        "2024-03-07\n",
        "07.03.2024",
        "2024/03/07",
        "20240307",
        "2024-3-7",
        "2024-13",
        "2024-00",
        "2024-02-30",
        "2023-02-29",
        "2024-03-00",
        "1899",
        "2101-01-01",
        "0000",
        "24-03-07",
        "2024-03-07T00:00:00",
        "2024-03-07T09:30:00+01:00",
        "٢٠٢٤",
        "२०२४-०३",
        0,
        2024,
        20240307,
        1.5,
        True,
        None,
        date(2024, 3, 7),
        b"2024-03-07",
    ],
)
def test_only_iso_years_months_and_days_are_dates(value: object) -> None:
    with pytest.raises(ValueError, match=r"Give a|no such day"):
        PartialDate.parse(value)


@given(date_texts)
def test_date_is_stored_as_entered(text: str) -> None:
    stated = Diagnosis.model_validate({"diagnosed_on": text})
    assert stated.model_dump(mode="json")["diagnosed_on"] == text
    assert Diagnosis.model_validate_json(stated.model_dump_json()) == stated


@given(date_texts)
def test_days_of_a_partial_date_are_ordered_and_within_its_year(text: str) -> None:
    when = PartialDate.parse(text)
    assert when.earliest <= when.latest
    assert when.earliest.year == when.latest.year == int(text[:4])
    length = {4: 366 if isleap(when.earliest.year) else 365, 10: 1}.get(len(text))
    assert length in (None, (when.latest - when.earliest).days + 1)


@given(date_texts, date_texts)
def test_definitely_before_holds_for_every_possible_day(text: str, other: str) -> None:
    a, b = PartialDate.parse(text), PartialDate.parse(other)
    assert a.definitely_before(b) == all(
        day < another for day in (a.earliest, a.latest) for another in (b.earliest, b.latest)
    )
    assert not (a.definitely_before(b) and b.definitely_before(a))


@given(date_texts, date_texts, date_texts)
def test_definitely_before_is_transitive(first: str, second: str, third: str) -> None:
    a, b, c = (PartialDate.parse(text) for text in (first, second, third))
    if a.definitely_before(b) and b.definitely_before(c):
        assert a.definitely_before(c)


@given(date_texts)
def test_definitely_before_is_irreflexive(text: str) -> None:
    assert not PartialDate.parse(text).definitely_before(PartialDate.parse(text))


@given(days.filter(lambda day: day < date(2100, 12, 31)))
def test_exact_days_are_ordered_but_not_against_their_month(day: date) -> None:
    today, tomorrow = PartialDate.from_day(day), PartialDate.from_day(day + timedelta(days=1))
    assert today.definitely_before(tomorrow)
    assert today == PartialDate.parse(day.isoformat())
    assert not PartialDate.parse(str(today)[:7]).definitely_before(today)


@pytest.mark.parametrize("value", ["2024", "2024-03", "2024-03-07T00:00:00", 20240307, "07.03.2024"])
def test_day_member_requires_an_exact_day(value: object) -> None:
    with pytest.raises(ValidationError, match="YYYY-MM-DD"):
        Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": value})


def test_exact_day_is_serialized_as_a_date() -> None:
    stated = Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": "2024-03-07"})
    assert stated.reported_on == date(2024, 3, 7)
    assert stated.model_dump(mode="json") == {"diagnosed_on": "2024", "reported_on": "2024-03-07"}


@given(date_texts)
def test_json_schema_pattern_admits_every_date(text: str) -> None:
    shape = Diagnosis.model_json_schema()["properties"]["diagnosed_on"]["pattern"]
    assert re.search(shape, text)


INVALID_DATES = (
    "15/05/20",
    "15.05.2020",
    "0020-05-15",
    "2020-5-5",
    "20200515",
    "2020-05-00",
    "2020-00",
    "-8",
    "9999",
    "45355",
    "2020-05-15T00:00:00",
    "20150001",
    "00/00/0000",
    "2023-02-29",
    "2024-02-31",
    "2024-15-03",
)


@pytest.mark.parametrize("text", INVALID_DATES)
def test_invalid_date_is_refused_with_advice_and_not_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Diagnosis.model_validate({"diagnosed_on": text})
    (error,) = refusal.value.errors(include_input=False)
    right = ("YYYY-MM or YYYY where the day or the month is not known", "no such day", "a year from 1900 to 2100")
    assert any(text in error["msg"] for text in right)
    assert text not in error["msg"]
    with pytest.raises(ValidationError):
        Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": text})


def test_error_suggests_null_or_a_coarser_date_for_unknown_parts() -> None:
    with pytest.raises(ValueError, match=r"Where nothing is known, give null"):
        PartialDate.parse("15.05.2020")
    with pytest.raises(ValidationError, match="Give the whole day, as YYYY-MM-DD"):
        Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": "2024-03"})
