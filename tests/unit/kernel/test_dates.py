from __future__ import annotations

import re
from calendar import isleap
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.kernel.dates import ClinicalDate, Day, PartialDate

days = st.dates(date(1900, 1, 1), date(2100, 12, 31))
said = st.one_of(
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
def test_a_date_means_every_day_that_it_may_be(text: str, earliest: date, latest: date) -> None:
    when = PartialDate.parse(text)
    assert (when.earliest, when.latest, str(when)) == (earliest, latest, text)
    assert when.is_exact == (len(text) == 10)


@pytest.mark.parametrize(
    "value",
    [
        "0", "", " 2024-03-07", "2024-03-07 ", "2024-03-07\n", "07.03.2024", "2024/03/07", "20240307", "2024-3-7",
        "2024-13", "2024-00", "2024-02-30", "2023-02-29", "2024-03-00", "1899", "2101-01-01", "0000", "24-03-07",
        "2024-03-07T00:00:00", "2024-03-07T09:30:00+01:00", "٢٠٢٤", "२०२४-०३", 0, 2024, 20240307, 1.5, True, None,
        date(2024, 3, 7), b"2024-03-07",
    ],
)  # fmt: skip
def test_nothing_but_year_month_and_day_is_a_date(value: object) -> None:
    with pytest.raises(ValueError, match=r"Give a|no such day"):
        PartialDate.parse(value)


@given(said)
def test_a_date_is_kept_as_it_was_said(text: str) -> None:
    stated = Diagnosis.model_validate({"diagnosed_on": text})
    assert stated.model_dump(mode="json")["diagnosed_on"] == text
    assert Diagnosis.model_validate_json(stated.model_dump_json()) == stated


@given(said)
def test_its_days_are_in_order_and_of_its_own_year(text: str) -> None:
    when = PartialDate.parse(text)
    assert when.earliest <= when.latest
    assert when.earliest.year == when.latest.year == int(text[:4])
    length = {4: 366 if isleap(when.earliest.year) else 365, 10: 1}.get(len(text))
    assert length in (None, (when.latest - when.earliest).days + 1)


@given(said, said)
def test_before_is_said_only_when_no_reading_says_otherwise(text: str, other: str) -> None:
    a, b = PartialDate.parse(text), PartialDate.parse(other)
    assert a.surely_before(b) == all(
        day < another for day in (a.earliest, a.latest) for another in (b.earliest, b.latest)
    )
    assert not (a.surely_before(b) and b.surely_before(a))


@given(said, said, said)
def test_before_is_passed_on(first: str, second: str, third: str) -> None:
    a, b, c = (PartialDate.parse(text) for text in (first, second, third))
    if a.surely_before(b) and b.surely_before(c):
        assert a.surely_before(c)


@given(said)
def test_no_date_is_before_itself(text: str) -> None:
    assert not PartialDate.parse(text).surely_before(PartialDate.parse(text))


@given(days.filter(lambda day: day < date(2100, 12, 31)))
def test_a_day_is_before_the_next_and_both_may_be_of_one_month(day: date) -> None:
    today, tomorrow = PartialDate.of(day), PartialDate.of(day + timedelta(days=1))
    assert today.surely_before(tomorrow)
    assert today == PartialDate.parse(day.isoformat())
    assert not PartialDate.parse(str(today)[:7]).surely_before(today)


@pytest.mark.parametrize("value", ["2024", "2024-03", "2024-03-07T00:00:00", 20240307, "07.03.2024"])
def test_a_plan_wants_the_whole_day(value: object) -> None:
    with pytest.raises(ValidationError, match="YYYY-MM-DD"):
        Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": value})


def test_a_day_is_published_as_a_date() -> None:
    stated = Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": "2024-03-07"})
    assert stated.reported_on == date(2024, 3, 7)
    assert stated.model_dump(mode="json") == {"diagnosed_on": "2024", "reported_on": "2024-03-07"}


@given(said)
def test_the_schema_admits_whatever_is_a_date(text: str) -> None:
    shape = Diagnosis.model_json_schema()["properties"]["diagnosed_on"]["pattern"]
    assert re.search(shape, text)


NO_DATES = (
    "15/05/20", "15.05.2020", "0020-05-15", "2020-5-5", "20200515", "2020-05-00", "2020-00", "-8", "9999", "45355",
    "2020-05-15T00:00:00", "20150001", "00/00/0000", "2023-02-29", "2024-02-31", "2024-15-03",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_DATES)
def test_a_date_that_is_none_is_refused_with_what_would_be_right_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Diagnosis.model_validate({"diagnosed_on": text})
    (error,) = refusal.value.errors(include_input=False)
    right = ("YYYY-MM or YYYY where the day or the month is not known", "no such day", "a year from 1900 to 2100")
    assert any(each in error["msg"] for each in right)
    assert text not in error["msg"]
    with pytest.raises(ValidationError):
        Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": text})


def test_what_is_not_known_is_null_or_a_coarser_date() -> None:
    with pytest.raises(ValueError, match=r"Where nothing is known, give null"):
        PartialDate.parse("15.05.2020")
    with pytest.raises(ValidationError, match="Give the whole day, as YYYY-MM-DD"):
        Diagnosis.model_validate({"diagnosed_on": "2024", "reported_on": "2024-03"})
