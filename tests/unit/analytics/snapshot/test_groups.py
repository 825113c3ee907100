"""Groups of participants: what was known at baseline, or at the start of the index course, and nothing later."""

from __future__ import annotations

from typing import Any

import pytest

from services.analytics.figures.group_names import DIVISIONS, standing_groups
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.groups import FIXED_GROUPS
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    four_cases,
    selection,
    stereotactic_course,
    treated,
)

UNKNOWN = {"not_reported": "?"}


def groups_of(by: str, *participants: list[Fact], cut: int = 300) -> list[str]:
    return [*FIXED_GROUPS[by](cohort_of(participants), selection(cut).cut_number)]


def at_baseline(day: int = 0, **changes: Any) -> list[Fact]:
    return treated(facts.baseline_recorded(day, **changes))


def test_stages_of_the_four_cases_are_derived() -> None:
    cut = selection(FOUR_CASES_CUT).cut_number
    assert [*FIXED_GROUPS["stage"](four_cases(), cut)] == ["IVC", "IVB", "IVC", "IVA"]


def test_stage_is_derived_or_says_why_not() -> None:
    tnm = [{"t": t, "n": "N0", "m": m} for t, m in (("T2", "M0"), ("T4b", "M0"), ("T2", "M1"), ("TX", "M0"))]
    participants = [
        *(at_baseline(tnm=stage) for stage in tnm),
        at_baseline(tnm=dict.fromkeys("tnm", UNKNOWN)),
        treated(),
    ]
    expected = ["IVA", "IVB", "IVC", "not_derivable", "not_reported", "not_reported"]
    assert groups_of("stage", *participants) == expected


@pytest.mark.parametrize(
    ("scale", "value", "group"),
    [
        *(("ECOG", value, group) for value, group in enumerate(["0-1", "0-1", "2", "3-4", "3-4", "not_reported"])),
        *(("KPS", value, "0-1") for value in (100, 90, 80, 70)),
        *(("KPS", value, "2") for value in (60, 50)),
        *(("KPS", value, "3-4") for value in (40, 30, 20, 10)),
        ("KPS", 0, "not_reported"),
    ],
)
def test_performance_is_ecog_as_measured_or_from_karnofsky(scale: str, value: int, group: str) -> None:
    assert groups_of("performance", at_baseline(performance={"scale": scale, "value": value})) == [group]


def test_performance_that_is_not_reported_is_a_group() -> None:
    assert groups_of("performance", at_baseline(performance=UNKNOWN), treated()) == ["not_reported"] * 2


@pytest.mark.parametrize("by", ["stage", "performance"])
def test_baseline_after_the_cut_off_reports_nothing_yet(by: str) -> None:
    assert groups_of(by, at_baseline(10), cut=9) == ["not_reported"]
    assert groups_of(by, at_baseline(10), cut=10) != ["not_reported"]


def test_age_is_that_at_enrollment_by_the_year_of_birth() -> None:
    born = [[facts.participant_screened(0, birth_year=year), *treated()[1:]] for year in (1958, 1959)]
    assert groups_of("age", *born) == ["from_65", "under_65"]


def test_delivery_is_that_prescribed_when_the_index_course_starts() -> None:
    def course(*targets: dict[str, Any]) -> list[Fact]:
        return [*treated()[:3], facts.radiotherapy_started(0, "RT1", *targets)]

    srs = facts.target("T2", delivery="SRS", fractions=1, cgy_per_fraction=2000)
    changed = [*course(facts.target()), facts.prescription_changed(12, "RT1", facts.target(), srs)]
    participants = [course(facts.target()), course(srs), course(facts.target(), srs), changed, treated()[:3]]
    assert groups_of("delivery", *participants) == [
        "hypofractionated",
        "SRS",
        "several",
        "hypofractionated",
        "no_index_course",
    ]


def test_delivery_of_another_course_or_after_the_cut_off_is_none() -> None:
    other = [*treated()[:3], stereotactic_course(5)]
    assert groups_of("delivery", other, treated(start=50), cut=49) == ["no_index_course"] * 2


@pytest.mark.parametrize(("by", "count"), [("sex", 2), ("stage", 5), ("performance", 4), ("subset", 2), ("site", 0)])
def test_groups_of_a_division_are_there_without_anybody(by: str, count: int) -> None:
    assert by in DIVISIONS
    assert len(standing_groups(cohort_of([]), selection(10, by=by))) == count


def test_deliveries_are_those_of_the_selected_participants() -> None:
    cohort = cohort_of([treated(site="rome"), treated(site="milan"), treated(*alive(3), start=3, site="milan")])
    milan = selection(300, by="delivery", sites=frozenset({"milan"}))
    assert standing_groups(cohort, milan) == {"hypofractionated"}
    assert standing_groups(cohort, selection(300, by="delivery", sites=frozenset({"turin"}))) == set()


@pytest.mark.parametrize("name", sorted(name for name, figure in FIGURES.items() if "stage" in figure.STRATIFICATIONS))
def test_imputed_day_that_fixes_a_group_counts_in_every_figure_by_the_cut_off(name: str) -> None:
    lesions = [facts.lesion_registered("M"), facts.radiotherapy_started(0, "RT1", facts.target("T1", "M"))]
    more = [facts.radiotherapy_completed(28), *alive(110)]
    cohort = cohort_of([[*treated()[:3], *lesions, facts.baseline_recorded("2024-03"), *more]])
    counts_always = name in ("characteristics", "symptom-relief")
    for cut, count in ((30, 0), (300, 1)):
        divided, by_sex = (FIGURES[name].compute(cohort, selection(cut, by=by)) for by in ("stage", "sex"))
        assert divided.imputed_dates == by_sex.imputed_dates + (0 if counts_always else count)
