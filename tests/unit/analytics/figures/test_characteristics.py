"""Characteristics of participants: whom the first table counts, in what values, and who is missing for what reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.characteristic_rows import CharacteristicRows
from services.analytics.figures.characteristics import Characteristics
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.snapshot.groups import ages
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from tests.unit.analytics.endpoints.cohorts import FOUR_CASES_CUT, cohort_of, four_cases, selection
from tests.unit.analytics.support import ENROLLED, RECORDED_AT, SCREENED, TODAY, single_fraction

CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


def enrolled(*more: Fact, **changes: Any) -> list[Fact]:
    return [facts.participant_screened(**changes), ENROLLED, *more]


def rows_of(snapshot: StudySnapshot, name: str, item: str | None = None, **chosen: Any) -> CharacteristicRows:
    figure = Characteristics.compute(snapshot, Selection(TODAY, **chosen))
    (rows,) = [rows for rows in figure.groups[0].characteristics if (rows.name, rows.item) == (name, item)]
    return rows


def counts_of(rows: CharacteristicRows) -> dict[str, int]:
    return {share.value: share.participants for share in rows.values if share.participants}


def missing_of(rows: CharacteristicRows) -> dict[str, int]:
    return {missing.reason: missing.participants for missing in rows.missing}


def counted(name: str, *participants: Sequence[Fact], item: str | None = None) -> tuple[dict[str, int], dict[str, int]]:
    """Returns the values and the reasons of a characteristic, with how many participants have each."""
    rows = rows_of(cohort_of(participants), name, item)
    return counts_of(rows), missing_of(rows)


def test_cases_of_the_reference_study_have_the_ages_of_the_paper() -> None:
    assert ages(four_cases(), selection(FOUR_CASES_CUT).cut_number).tolist() == [59, 77, 62, 56]
    figure = Characteristics.compute(four_cases(), selection(FOUR_CASES_CUT))
    quartiles = figure.groups[0].rows_of("age").quartiles
    assert quartiles is not None
    assert (quartiles.minimum, quartiles.median, quartiles.maximum) == (56, 60.5, 77)
    by_sex = [
        Characteristics.compute(four_cases(), selection(FOUR_CASES_CUT, by="sex")).groups[index].rows_of("age")
        for index in (0, 1)
    ]
    assert [rows.quartiles.median if rows.quartiles else None for rows in by_sex] == [77, 59]
    assert "Age median 60.5 years (quartiles 58.25–65.75, range 56–77)" in figure.caption(CONTEXT)
    assert figure.headline(CONTEXT)[1] == ("age", "60.5", "median age, in years")


@pytest.mark.parametrize(
    ("enrolled_on", "age"), [("2021-06-30", 59), ("2021-07-01", 60), ("2021", 60), ("2021-06", 59), ("2021-12-31", 60)]
)
def test_age_is_one_less_before_july(enrolled_on: str, age: int) -> None:
    born = [facts.participant_screened("2021-01-01", birth_year=1961), facts.participant_enrolled(enrolled_on)]
    rows = rows_of(cohort_of([born]), "age")
    assert rows.quartiles is not None
    assert (rows.quartiles.median, rows.unit) == (age, "years")


def test_values_are_shares_of_those_of_whom_they_are_known_with_exact_intervals() -> None:
    stages = [("T4b", "N0", "M0"), ("T3a", "N0", "M0"), ("T4a", "N1", "M0"), ("T3", "N0", "M0")]
    participants = [
        enrolled(facts.baseline_recorded(tnm=dict(zip(("t", "n", "m"), stage, strict=True)))) for stage in stages
    ]
    unknown = {"t": {"not_reported": "?"}, "n": {"not_reported": "?"}, "m": {"not_reported": "?"}}
    snapshot = cohort_of([*participants, enrolled(), enrolled(facts.baseline_recorded(tnm=unknown))])
    rows = rows_of(snapshot, "stage")
    assert rows.known == 3
    assert counts_of(rows) == {"IVA": 1, "IVB": 2}
    assert missing_of(rows) == {"no_baseline": 1, "not_reported": 1, "not_derivable": 1}
    share = rows.values[1]
    assert (share.value, share.participants, share.of, share.estimate) == ("IVB", 2, 3, 2 / 3)
    assert (share.lower, share.upper) == pytest.approx((0.0942993240502461, 0.9915962413403874), abs=1e-12)
    assert [share.value for share in rows.values] == ["IVA", "IVB", "IVC"]


def test_performance_is_shown_as_measured_and_as_ecog() -> None:
    measured = [
        enrolled(facts.baseline_recorded(performance={"scale": scale, "value": value}))
        for scale, value in (("KPS", 90), ("KPS", 60), ("ECOG", 2))
    ]
    unknown = enrolled(facts.baseline_recorded(performance={"not_reported": "?"}))
    missing = {"not_reported": 1}
    assert counted("performance", *measured, unknown) == ({"KPS 90": 1, "KPS 60": 1, "ECOG 2": 1}, missing)
    assert counted("ecog", *measured, unknown) == ({"0": 1, "2": 2}, missing)


def test_baseline_and_index_course_count_by_their_day() -> None:
    later = enrolled(facts.baseline_recorded(20), facts.radiotherapy_started(30))
    for name, reason in (("histology", "no_baseline"), ("intent", "no_index_course")):
        before = Characteristics.compute(cohort_of([later]), selection(10)).groups[0].rows_of(name)
        assert (before.known, missing_of(before)) == (0, {reason: 1})
        assert Characteristics.compute(cohort_of([later]), selection(30)).groups[0].rows_of(name).known == 1
    assert Characteristics.compute(cohort_of([later]), selection(-1)).groups[0].n == 0


def test_metastatic_sites_are_none_with_m0_and_not_reported_without_m0() -> None:
    sites = enrolled(facts.baseline_recorded(metastatic_sites=["lung", "bone"]))
    none = enrolled(facts.baseline_recorded(tnm={"t": "T4b", "n": "N0", "m": "cM0"}))
    open_ = enrolled(facts.baseline_recorded(tnm={"t": "T4b", "n": "N0", "m": "M1"}))
    assert counted("metastatic_sites", sites, none, open_) == ({"lung": 1, "bone": 1}, {"not_reported": 1})
    rows = rows_of(cohort_of([sites, none, open_]), "metastatic_site_count")
    assert (counts_of(rows), missing_of(rows)) == ({"0": 1, "2": 1}, {"not_reported": 1})
    assert rows.quartiles is not None
    assert rows.quartiles.median == 1


def test_gene_is_altered_not_altered_not_tested_or_not_reported() -> None:
    results: list[Any] = [
        "pathogenic",
        "likely_pathogenic",
        "detected",
        "not_detected",
        "not_tested",
        "failed",
        "vus",
        {"not_reported": "?"},
    ]
    tested = [
        enrolled(facts.baseline_recorded(molecular_findings=[{"gene": "BRAF", "result": result}])) for result in results
    ]
    unnamed = enrolled(facts.baseline_recorded(molecular_findings=[{"gene": "TP53", "result": "vus"}]))
    unknown = enrolled(facts.baseline_recorded(molecular_findings={"not_reported": "?"}))
    assert counted("molecular", *tested, unnamed, unknown, enrolled(), item="BRAF") == (
        {"altered": 3, "not_altered": 1},
        {"no_baseline": 1, "not_reported": 3, "not_tested": 1, "test_failed": 1, "uncertain_significance": 1},
    )


def test_of_several_results_of_a_gene_an_alteration_counts() -> None:
    findings = [
        {"gene": "BRAF", "origin": origin, "result": result}
        for origin, result in (("tumour", "not_detected"), ("cfDNA", "detected"), ("germline", "not_tested"))
    ]
    assert counted("molecular", enrolled(facts.baseline_recorded(molecular_findings=findings)), item="BRAF") == (
        {"altered": 1},
        {},
    )


def test_severity_zero_is_no_symptom_and_one_that_a_baseline_does_not_name_is_not_reported() -> None:
    stated = [
        enrolled(facts.baseline_recorded(symptoms=[{"symptom": "pain", "severity": severity}]))
        for severity in ("none", 0, "severe", 7)
    ]
    unnamed = enrolled(facts.baseline_recorded())
    assert counted("symptom", *stated, unnamed, enrolled(), item="pain") == (
        {"none": 2, "severe": 1, "7": 1},
        {"no_baseline": 1, "not_reported": 1},
    )


def test_index_course_has_the_deliveries_of_its_targets_and_the_highest_dose_of_one() -> None:
    boost = facts.target("T2", fractions=20, cgy_per_fraction=300, boost_of="T1")
    index = facts.radiotherapy_started(0, "RT1", facts.target("T1", fractions=20, cgy_per_fraction=250), boost)
    other = facts.radiotherapy_started(5, "RT2", single_fraction("SRS"), index=False)
    snapshot = cohort_of([enrolled(index, other)])
    assert counts_of(rows_of(snapshot, "delivery")) == {"hypofractionated": 1}
    dose = rows_of(snapshot, "index_dose")
    assert dose.quartiles is not None
    assert (dose.quartiles.median, dose.unit) == (60, "Gy")
    assert counts_of(rows_of(snapshot, "intent")) == {"palliative": 1}


def test_groups_without_anybody_are_there_and_all_groups_have_the_same_values() -> None:
    figure = Characteristics.compute(
        cohort_of([enrolled(facts.baseline_recorded(), sex="male")]), selection(9, by="sex")
    )
    assert [(group.name, group.n) for group in figure.groups] == [("female", 0), ("male", 1)]
    women, men = (
        [(rows.name, [share.value for share in rows.values]) for rows in group.characteristics]
        for group in figure.groups
    )
    assert women == men
    assert "female (0 participants)" not in figure.caption(CONTEXT)
    assert "male (1 participant): Age median 76 years" in figure.caption(CONTEXT)


def test_readers_get_every_count_but_no_range_and_no_quartiles_of_few() -> None:
    few = Characteristics.compute(cohort_of([enrolled()] * 4), selection(9))
    enough = Characteristics.compute(cohort_of([enrolled()] * 5), selection(9))
    published = [figure.published(5, TODAY).groups[0].rows_of("age") for figure in (few, enough)]
    assert [rows.known for rows in published] == [4, 5]
    assert [rows.quartiles.model_dump() for rows in published if rows.quartiles] == [
        dict.fromkeys(("median", "lower_quartile", "upper_quartile", "minimum", "maximum")),
        {"median": 76, "lower_quartile": 76, "upper_quartile": 76, "minimum": None, "maximum": None},
    ]


def test_imputed_dates_are_those_of_enrollment_baseline_and_index_course() -> None:
    dated = [
        facts.participant_screened("2024-02-01"),
        facts.participant_enrolled("2024-02"),
        facts.baseline_recorded("2024-03"),
        facts.radiotherapy_started("2024-04"),
    ]
    snapshot = cohort_of([dated, [SCREENED, ENROLLED, facts.baseline_recorded(5), facts.radiotherapy_started(9)]])
    assert Characteristics.compute(snapshot, Selection(TODAY)).imputed_dates == 3
    assert Characteristics.compute(snapshot, Selection(date(2024, 3, 1))).imputed_dates == 1


BASELINES = st.fixed_dictionaries(
    {
        "sex": st.sampled_from(["female", "male", "other", "unknown"]),
        "day": st.integers(0, 40),
        "performance": st.sampled_from(
            [{"scale": "KPS", "value": 70}, {"scale": "ECOG", "value": 1}, {"not_reported": "?"}]
        ),
        "t": st.sampled_from(["T2", "pT3", "T3b", "TX", {"not_reported": "?"}]),
        "m": st.sampled_from(["M0", "cM0", "M1"]),
        "sites": st.lists(st.sampled_from(["lung", "bone", "liver"]), unique=True),
        "severity": st.sampled_from(["none", "mild", 0, 4, 10]),
        "is_treated": st.booleans(),
    }
)


@given(st.lists(BASELINES, max_size=8), st.integers(0, 45), st.sampled_from([None, "sex", "subset"]))
def test_everybody_is_known_or_missing_for_one_reason_and_has_one_value(
    baselines: list[dict[str, Any]], cut: int, by: str | None
) -> None:
    participants = [
        enrolled(
            facts.baseline_recorded(
                row["day"],
                performance=row["performance"],
                tnm={"t": row["t"], "n": "N0", "m": row["m"]},
                metastatic_sites=row["sites"],
                symptoms=[{"symptom": "pain", "severity": row["severity"]}],
            ),
            *([facts.radiotherapy_started(row["day"])] if row["is_treated"] else []),
            sex=row["sex"],
        )
        for row in baselines
    ]
    figure = Characteristics.compute(cohort_of(participants), selection(cut, by=by))
    assert sum(group.n for group in figure.groups) == len(baselines)
    for group in figure.groups:
        for rows in group.characteristics:
            assert rows.known + sum(missing.participants for missing in rows.missing) == group.n
            assert {share.of for share in rows.values} <= {rows.known}
            total = sum(share.participants for share in rows.values)
            assert rows.multiple or not rows.values or total == rows.known
            assert max((share.participants for share in rows.values), default=0) <= rows.known
