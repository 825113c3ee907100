"""Biologically effective dose, against every prescription of the paper and of one comparator."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.analytics.cohort import Selection
from services.analytics.figures import treatments as drawn
from services.analytics.statistics.dose import CNS, LATE, TUMOUR, bed, eqd2
from services.analytics.statistics.treatments import treatments
from shared.kernel.fact import Fact
from shared.testing import facts
from tests.unit.analytics.told import CASES, RECORDED, case, cohort_of, events

with Path(__file__).with_name("prescriptions.csv").open(encoding="utf-8", newline="") as _kept:
    PRESCRIPTIONS = list(csv.DictReader(_kept))
DOSES = ("bed_10", "eqd2_10", "bed_3", "eqd2_3", "bed_2", "eqd2_2")
ALL = Selection(RECORDED.date())


@pytest.mark.parametrize("prescription", PRESCRIPTIONS, ids=lambda row: row["rx"])
def test_doses_are_those_of_the_paper_to_four_decimals(prescription: dict[str, str]) -> None:
    fractions, dose = int(prescription["fractions"]), Decimal(prescription["dose_per_fraction_gy"])
    computed = [form(fractions, dose, ratio) for ratio in (TUMOUR, LATE, CNS) for form in (bed, eqd2)]
    assert [str(value) for value in computed] == [prescription[name] for name in DOSES]
    assert fractions * dose == Decimal(prescription["total_dose_gy"])


def shown(table: tuple[list[str], list[list[str]]]) -> list[dict[str, str]]:
    header, rows = table
    return [dict(zip(header, row, strict=True)) for row in rows]


def dose(text: str) -> Decimal | None:
    return Decimal(text) if text else None


@pytest.mark.parametrize("number", CASES)
def test_every_published_target_has_its_own_row_and_the_brain_alone_its_third_ratio(number: int) -> None:
    """Levels of an integrated boost are not added up; a vertebra is bone."""
    rows = {row["label"]: row for row in shown(drawn.table(treatments(cohort_of(case(number)), ALL)))}
    expected = {row["label"]: row for row in PRESCRIPTIONS if row["case"] == str(number)}
    assert rows.keys() == expected.keys()
    for label, row in rows.items():
        ratios = DOSES if expected[label]["cns"] == "yes" else DOSES[:4]
        assert [dose(row[name]) for name in DOSES] == [
            Decimal(expected[label][name]) if name in ratios else None for name in DOSES
        ], label
        for name in ("fractions", "dose_per_fraction_gy", "total_dose_gy"):
            assert dose(row[name]) == Decimal(expected[label][name]), (label, name)


@given(st.integers(1, 80), st.integers(1, 3000), st.sampled_from([TUMOUR, LATE, CNS]))
def test_two_gray_fractions_to_the_same_effect_have_the_same_effective_dose(
    fractions: int, centigray: int, ratio: Decimal
) -> None:
    each = Decimal(centigray) / 100
    assert abs(bed(fractions, each, ratio) - eqd2(fractions, each, ratio) * (1 + 2 / ratio)) <= Decimal("0.0002")


def rows_of(*stated: Fact) -> list[dict[str, Any]]:
    told = events("P", [facts.screened(), facts.enrolled(), *stated])
    rows: list[dict[str, Any]] = treatments(cohort_of(told), ALL)["targets"]
    return rows


def given_to(row: dict[str, Any]) -> tuple[Any, Any]:
    return row["fractions_delivered"], row["dose_delivered_gy"]


def test_what_was_delivered_stands_beside_what_was_prescribed() -> None:
    course, short = facts.course(1), facts.given(fractions=8, dose=2000)
    assert given_to(rows_of(course)[0]) == (None, None)
    assert given_to(rows_of(course, facts.completed(28))[0]) == (20, 50.0)
    assert given_to(rows_of(course, facts.discontinued(14))[0]) == (None, None)
    (row,) = rows_of(course, facts.discontinued(14, "RT1", short))
    assert given_to(row) == (8, 20.0)
    assert (row["fractions"], row["total_dose_gy"], row["bed_10"]) == (20, 50.0, 62.5)


def test_a_completed_course_that_speaks_of_one_target_was_as_prescribed_to_the_other() -> None:
    course = facts.course(1, "RT1", facts.target("T1"), facts.target("T2"))
    rows = rows_of(course, facts.completed(28, "RT1", facts.given("T1", 19, 4750)))
    assert {row["target_id"]: given_to(row) for row in rows} == {"T1": (19, 47.5), "T2": (20, 50.0)}


@pytest.mark.parametrize(
    ("label", "cns"), [("PTV_Brain", True), ("SpinalCord_PRV05", True), ("PTV_T7_vertebra", False)]
)
def test_a_target_that_names_no_lesion_is_nervous_tissue_by_its_label(label: str, cns: bool) -> None:
    (row,) = rows_of(facts.course(1, "RT1", facts.target(label=label)))
    assert ("bed_2" in row) is cns


@pytest.mark.parametrize(
    ("fractions", "each", "effective"),
    [
        (4, 1500, ("150", "125", "360", "216")),
        (20, 300, ("78", "65", "120", "72")),
        (39, 200, ("93.6", "78", "130", "78")),
        (28, 180, ("59.472", "49.56", "80.64", "48.384")),
    ],
)
def test_effective_doses_take_the_number_and_the_dose_of_fractions_each_for_itself(
    fractions: int, each: int, effective: tuple[str, ...]
) -> None:
    computed = [form(fractions, Decimal(each) / 100, ratio) for ratio in (TUMOUR, LATE) for form in (bed, eqd2)]
    assert computed == [Decimal(text) for text in effective]
    with pytest.raises(ValidationError, match="fractions times the dose per fraction is not the total dose"):
        facts.course(0, "RT1", facts.target(fractions=fractions, each=each, total_dose_cgy=fractions * each + 1))
