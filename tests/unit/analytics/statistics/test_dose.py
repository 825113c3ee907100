"""Biologically effective dose, against every prescription of the paper and of one comparator."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.analytics.figures.target_rows import TargetRow
from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.selection import Selection
from services.analytics.statistics.dose import ALPHA_BETA_CNS, ALPHA_BETA_LATE, ALPHA_BETA_TUMOR, bed, eqd2
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import TODAY, snapshot_of_events

with Path(__file__).with_name("prescriptions.csv").open(encoding="utf-8", newline="") as _file:
    PRESCRIPTIONS = list(csv.DictReader(_file))
DOSES = ("bed_10", "eqd2_10", "bed_3", "eqd2_3", "bed_2", "eqd2_2")
ALL_PARTICIPANTS = Selection(TODAY)


@pytest.mark.parametrize("prescription", PRESCRIPTIONS, ids=lambda row: row["rx"])
def test_effective_doses_equal_the_paper_to_four_decimals(prescription: dict[str, str]) -> None:
    fractions, dose = int(prescription["fractions"]), Decimal(prescription["dose_per_fraction_gy"])
    computed = [
        form(fractions, dose, ratio)
        for ratio in (ALPHA_BETA_TUMOR, ALPHA_BETA_LATE, ALPHA_BETA_CNS)
        for form in (bed, eqd2)
    ]
    assert [str(value) for value in computed] == [prescription[name] for name in DOSES]
    assert fractions * dose == Decimal(prescription["total_dose_gy"])


def table_rows(table: tuple[list[str], list[list[str]]]) -> list[dict[str, str]]:
    header, rows = table
    return [dict(zip(header, row, strict=True)) for row in rows]


def dose(text: str) -> Decimal | None:
    return Decimal(text) if text else None


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_every_published_target_has_a_row_and_only_brain_targets_a_third_ratio(number: int) -> None:
    """Levels of an integrated boost are not added up; a vertebra is bone."""
    rows = {
        row["label"]: row
        for row in table_rows(
            Treatments.compute(snapshot_of_events(published_case_events(number)), ALL_PARTICIPANTS).table()
        )
    }
    expected = {row["label"]: row for row in PRESCRIPTIONS if row["case"] == str(number)}
    assert rows.keys() == expected.keys()
    for label, row in rows.items():
        ratios = DOSES if expected[label]["cns"] == "yes" else DOSES[:4]
        assert [dose(row[name]) for name in DOSES] == [
            Decimal(expected[label][name]) if name in ratios else None for name in DOSES
        ], label
        for name in ("fractions", "dose_per_fraction_gy", "total_dose_gy"):
            assert dose(row[name]) == Decimal(expected[label][name]), (label, name)


@given(st.integers(1, 80), st.integers(1, 3000), st.sampled_from([ALPHA_BETA_TUMOR, ALPHA_BETA_LATE, ALPHA_BETA_CNS]))
def test_eqd2_in_two_gray_fractions_has_the_same_bed(fractions: int, centigray: int, ratio: Decimal) -> None:
    dose_per_fraction = Decimal(centigray) / 100
    assert abs(
        bed(fractions, dose_per_fraction, ratio) - eqd2(fractions, dose_per_fraction, ratio) * (1 + 2 / ratio)
    ) <= Decimal("0.0002")


def target_rows(*facts_recorded: Fact) -> Sequence[TargetRow]:
    recorded_events = participant_events([facts.participant_screened(), facts.participant_enrolled(), *facts_recorded])
    return Treatments.compute(snapshot_of_events(recorded_events), ALL_PARTICIPANTS).targets


def delivered_dose(row: TargetRow) -> tuple[int | None, float | None]:
    return row.fractions_delivered, row.dose_delivered_gy


def test_delivered_dose_is_reported_beside_the_prescription() -> None:
    course, short = facts.radiotherapy_started(1), facts.delivered_dose(fractions=8, dose=2000)
    assert delivered_dose(target_rows(course)[0]) == (None, None)
    assert delivered_dose(target_rows(course, facts.radiotherapy_completed(28))[0]) == (20, 50.0)
    assert delivered_dose(target_rows(course, facts.radiotherapy_discontinued(14))[0]) == (None, None)
    (row,) = target_rows(course, facts.radiotherapy_discontinued(14, "RT1", short))
    assert delivered_dose(row) == (8, 20.0)
    assert (row.fractions, row.total_dose_gy, row.bed_10) == (20, 50.0, 62.5)


def test_completed_course_delivered_unmentioned_targets_as_prescribed() -> None:
    course = facts.radiotherapy_started(1, "RT1", facts.target("T1"), facts.target("T2"))
    rows = target_rows(course, facts.radiotherapy_completed(28, "RT1", facts.delivered_dose("T1", 19, 4750)))
    assert {row.target_id: delivered_dose(row) for row in rows} == {"T1": (19, 47.5), "T2": (20, 50.0)}


@pytest.mark.parametrize(
    ("label", "cns"), [("PTV_Brain", True), ("SpinalCord_PRV05", True), ("PTV_T7_vertebra", False)]
)
def test_target_without_lesion_is_nervous_tissue_by_its_label(label: str, cns: bool) -> None:
    (row,) = target_rows(facts.radiotherapy_started(1, "RT1", facts.target(label=label)))
    assert ("bed_2" in row.model_fields_set) is cns


@pytest.mark.parametrize(
    ("fractions", "cgy_per_fraction", "effective"),
    [
        (4, 1500, ("150", "125", "360", "216")),
        (20, 300, ("78", "65", "120", "72")),
        (39, 200, ("93.6", "78", "130", "78")),
        (28, 180, ("59.472", "49.56", "80.64", "48.384")),
    ],
)
def test_effective_dose_depends_on_number_and_dose_of_fractions(
    fractions: int, cgy_per_fraction: int, effective: tuple[str, ...]
) -> None:
    computed = [
        form(fractions, Decimal(cgy_per_fraction) / 100, ratio)
        for ratio in (ALPHA_BETA_TUMOR, ALPHA_BETA_LATE)
        for form in (bed, eqd2)
    ]
    assert computed == [Decimal(text) for text in effective]
    with pytest.raises(ValidationError, match="fractions times the dose per fraction is not the total dose"):
        facts.radiotherapy_started(
            0,
            "RT1",
            facts.target(
                fractions=fractions, cgy_per_fraction=cgy_per_fraction, total_dose_cgy=fractions * cgy_per_fraction + 1
            ),
        )
