"""Local control: lesions from treatment to failure, re-treatment or death, and their status at the last imaging."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.analytics.endpoints.local_control import (
    DEATH,
    FAILURE,
    RETREATMENT,
    local_control,
    other_control_readings,
)
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.competing_risks import cumulative_incidence, incidence_at
from services.analytics.statistics.risk_sets import CENSORED
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
)
from tests.unit.analytics.endpoints.lesion_cohorts import (
    LesionTime,
    course,
    imaged,
    lesion_times,
    nine_lesions,
    times_of,
    with_lesions,
)


def statuses_of(snapshot: StudySnapshot, cut: int | date, **changes: Any) -> dict[str, int]:
    """Returns how many lesions have each status that occurs."""
    names = local_control(snapshot, selection(cut, **changes)).status.tolist()
    return {name: names.count(name) for name in dict.fromkeys(names)}


def test_given_the_stereotactic_lesions_of_the_four_cases_then_deaths_compete_and_none_fails() -> None:
    """F2: as written only before death, nothing would happen to anybody."""
    snapshot = four_cases()
    times = local_control(snapshot, selection(FOUR_CASES_CUT, subset="stereotactic"))
    assert times_of(snapshot, times) == [
        LesionTime("L1", 0, 246, DEATH),
        LesionTime("L2", 0, 246, DEATH),
        LesionTime("L1", 0, 25, DEATH),
        LesionTime("L1", 0, 0, CENSORED),
        LesionTime("L1", 0, 51, CENSORED),
    ]
    curves = cumulative_incidence(times.observations, 3, times.subjects)
    assert [incidence_at(curves, DEATH, day).value for day in (25, 246)] == [0.25, 1]
    assert (times.participants, sum(times.not_counted.values()), times.imputed_dates) == (4, 0, 0)
    expected = {"controlled": 2, "never_imaged": 2, "indeterminate": 1}
    assert statuses_of(snapshot, FOUR_CASES_CUT, subset="stereotactic") == expected


def test_given_all_lesions_of_the_four_cases_then_one_fails_on_day_106() -> None:
    snapshot = four_cases()
    times = local_control(snapshot, selection(FOUR_CASES_CUT))
    assert len(times.subjects) == 11
    curves = cumulative_incidence(times.observations, 3, times.subjects)
    assert incidence_at(curves, FAILURE, 106).value == pytest.approx(0.171428571428571, abs=1e-14)
    deaths = [incidence_at(curves, DEATH, day).value for day in (25, 145, 246)]
    assert deaths == pytest.approx([0.142857142857143, 0.485714285714286, 0.828571428571429], abs=1e-14)


def test_given_a_division_by_subset_then_lesions_of_stereotactic_targets_stand_apart() -> None:
    snapshot = four_cases()
    times = local_control(snapshot, selection(FOUR_CASES_CUT, by="subset"))
    assert [time.exit for time in times_of(snapshot, times, "stereotactic")] == [246, 246, 25, 0, 51]
    assert [(time.exit, time.cause) for time in times_of(snapshot, times, "other")] == [
        (106, FAILURE),
        (145, DEATH),
        (145, DEATH),
        (0, CENSORED),
        (0, CENSORED),
        (0, CENSORED),
    ]


def test_given_nine_lesions_of_five_participants_then_limits_are_those_of_influences_summed_within_them() -> None:
    """W10."""
    snapshot = nine_lesions()
    times = local_control(snapshot, selection(400))
    assert [(time.exit, time.cause) for time in times_of(snapshot, times)] == [
        (100, FAILURE),
        (200, DEATH),
        (25, DEATH),
        (120, FAILURE),
        (120, FAILURE),
        (300, CENSORED),
        (200, RETREATMENT),
        (60, DEATH),
        (60, DEATH),
    ]
    curves = cumulative_incidence(times.observations, 3, times.subjects)
    failures = incidence_at(curves, FAILURE, 120)
    assert [incidence_at(curves, FAILURE, 100).value, failures.value] == pytest.approx([1 / 9, 1 / 3], abs=1e-12)
    assert [failures.lower, failures.upper] == pytest.approx([0.0488675060863, 0.6704328796933], abs=1e-12)
    deaths = [incidence_at(curves, DEATH, day).value for day in (25, 60, 200)]
    assert deaths == pytest.approx([1 / 9, 1 / 3, 4 / 9], abs=1e-12)
    assert incidence_at(curves, RETREATMENT, 200).value == pytest.approx(1 / 9, abs=1e-12)


def twice_treated(progressed_on: str) -> list[Fact]:
    """Returns the facts of W11: course A, an imaging, course B, and a progression."""
    return with_lesions(
        course("2024-01-10", "L1"),
        imaged("2024-04-10", "L1"),
        course("2024-06-01", "L1", name="B"),
        follow_up.disease_progressed(progressed_on, "L1"),
        enrolled=-30,
    )


def test_given_a_later_course_then_it_competes_and_a_later_failure_is_not_the_first_course_s() -> None:
    """W11."""
    assert lesion_times(400, twice_treated("2024-09-01")) == [LesionTime("L1", 0, 143, RETREATMENT)]
    assert lesion_times(400, twice_treated("2024-06-01")) == [LesionTime("L1", 0, 143, FAILURE)]


def test_given_a_contact_in_the_month_of_a_death_then_what_it_saw_is_no_later_than_the_death() -> None:
    """W14."""
    in_march = imaged("2024-03", "L1", status="progressed")
    stated = with_lesions(course("2024-02-01", "L1"), in_march, follow_up.participant_died("2024-03-10"))
    assert lesion_times(400, stated) == [LesionTime("L1", 0, 38, FAILURE)]
    assert lesion_times(400, stated[:-1]) == [LesionTime("L1", 0, 43, FAILURE)]


def test_given_a_transfer_then_the_lesions_stay_with_the_enrolling_site() -> None:
    """W17."""
    moved = with_lesions(course(0, "L1"), facts.participant_transferred("milan", 20), dead(50))
    times = local_control(cohort_of([moved]), selection(400, by="site"))
    assert times.groups.tolist() == ["rome"]


def test_given_a_stereotactic_course_after_another_one_then_the_lesion_has_a_time_of_its_own_from_it() -> None:
    stated = with_lesions(
        course(0, "L1"),
        imaged(60, "L1"),
        course(100, "L1", name="B", delivery="SRS"),
        imaged(190, "L1", status="progressed"),
    )
    snapshot = cohort_of([stated])
    times = local_control(snapshot, selection(400, by="subset"))
    assert times_of(snapshot, times, "other") == [LesionTime("L1", 0, 100, RETREATMENT)]
    assert times_of(snapshot, times, "stereotactic") == [LesionTime("L1", 0, 90, FAILURE)]
    assert times.first_of_lesions.tolist() == [0]
    assert lesion_times(400, stated, subset="stereotactic") == [LesionTime("L1", 0, 90, FAILURE)]


def test_given_a_stereotactic_boost_that_a_change_adds_then_the_lesion_enters_that_group_on_its_day() -> None:
    boost = facts.target("T2", "L1", fractions=1, cgy_per_fraction=2000, delivery="SRS")
    changed = facts.prescription_changed(20, "A", facts.target("T1", "L1"), boost)
    stated = with_lesions(course(0, "L1"), changed, imaged(90, "L1", status="progressed"))
    assert lesion_times(400, stated, subset="stereotactic") == [LesionTime("L1", 20, 90, FAILURE)]
    snapshot = cohort_of([stated])
    times = local_control(snapshot, selection(400, by="subset"))
    assert times_of(snapshot, times, "other") == [LesionTime("L1", 0, 20, CENSORED)]
    assert times_of(snapshot, times, "stereotactic") == [LesionTime("L1", 20, 90, FAILURE)]
    assert lesion_times(400, stated) == [LesionTime("L1", 0, 90, FAILURE)]


def test_given_a_node_that_a_stereotactic_target_names_then_it_is_a_lesion_of_the_subset() -> None:
    node = [facts.lesion_registered("N1", kind="node"), course(0, "N1", delivery="SRS"), imaged(40, "N1")]
    assert lesion_times(400, with_lesions(*node), subset="stereotactic") == [LesionTime("N1", 0, 40, CENSORED)]


def test_given_a_target_without_lesions_then_it_treats_none() -> None:
    snapshot = cohort_of([with_lesions(course(0, delivery="SRS"), imaged(40, "L1"))])
    times = local_control(snapshot, selection(400, subset="stereotactic"))
    assert (len(times.subjects), times.not_counted["no_origin"]) == (0, 1)


def test_given_a_change_that_no_longer_names_a_lesion_then_the_course_treats_it_no_more() -> None:
    changed = facts.prescription_changed(10, "A", facts.target("T1", "L2"))
    stated = with_lesions(course(0, "L1", "L2"), changed, *alive(50))
    assert [time.lesion for time in lesion_times(9, stated)] == ["L1", "L2"]
    assert [time.lesion for time in lesion_times(10, stated)] == ["L2"]


def test_given_a_lesion_that_a_change_adds_then_its_time_begins_on_that_day() -> None:
    changed = facts.prescription_changed(10, "A", facts.target("T1", "L1", "L2"))
    stated = with_lesions(course(0, "L1"), changed, imaged(50, "L1", "L2"))
    assert [time.exit for time in lesion_times(400, stated)] == [50, 40]


@pytest.mark.parametrize("basis", ["imaging", "clinical", "histology"])
def test_given_progression_on_any_basis_then_it_is_a_failure(basis: str) -> None:
    at_contact = imaged(70, "L1", status="progressed", basis=basis)
    stated = follow_up.disease_progressed(70, "L1", basis=basis)
    for evidence in (at_contact, stated):
        assert lesion_times(400, with_lesions(course(0, "L1"), evidence)) == [LesionTime("L1", 0, 70, FAILURE)]


@pytest.mark.parametrize(
    "evidence",
    [
        follow_up.disease_progressed(70),
        follow_up.disease_progressed(70, kind="regional"),
        follow_up.disease_progressed(70, kind="distant", lesion_id="L1"),
        follow_up.disease_progressed(70, "L2"),
    ],
)
def test_given_another_progression_then_it_is_no_failure_of_the_lesion(evidence: Fact) -> None:
    """F11: a new metastasis that is named is no local failure of itself."""
    assert lesion_times(400, with_lesions(course(0, "L1"), evidence)) == [LesionTime("L1", 0, 0, CENSORED)]


def test_given_progression_by_time_0_then_it_is_no_failure() -> None:
    evidence = [follow_up.disease_progressed(5, "L1"), follow_up.disease_progressed(10, "L1")]
    stated = with_lesions(*evidence, course(10, "L1"), imaged(40, "L1"))
    assert lesion_times(400, stated) == [LesionTime("L1", 0, 30, CENSORED)]


def test_given_a_procedure_that_names_the_lesion_then_it_competes() -> None:
    resected = facts.procedure_performed(50, kind="surgery", body_site="brain", lesion_ids=["L1"])
    other = facts.procedure_performed(50, kind="surgery", body_site="brain")
    assert lesion_times(400, with_lesions(course(0, "L1"), resected)) == [LesionTime("L1", 0, 50, RETREATMENT)]
    assert lesion_times(400, with_lesions(course(0, "L1"), other)) == [LesionTime("L1", 0, 0, CENSORED)]
    histology = imaged(50, "L1", status="progressed", basis="histology")
    assert lesion_times(400, with_lesions(course(0, "L1"), resected, histology)) == [LesionTime("L1", 0, 50, FAILURE)]
    assert lesion_times(400, with_lesions(course(0, "L1"), resected, dead(50))) == [
        LesionTime("L1", 0, 50, RETREATMENT)
    ]


def test_given_a_failure_on_the_day_of_death_then_the_failure_comes_first() -> None:
    evidence = follow_up.disease_progressed(50, "L1", basis="histology")
    assert lesion_times(400, with_lesions(course(0, "L1"), evidence, dead(50))) == [LesionTime("L1", 0, 50, FAILURE)]
    later = follow_up.disease_progressed(52, "L1", basis="histology")
    assert lesion_times(400, with_lesions(course(0, "L1"), later, dead(50))) == [LesionTime("L1", 0, 50, DEATH)]


def test_given_no_imaging_then_a_contact_or_clinical_control_does_not_prolong_the_time() -> None:
    contacts = [*alive(80), imaged(90, "L1", basis="clinical")]
    stated = with_lesions(course(0, "L1"), *contacts)
    assert lesion_times(400, stated) == [LesionTime("L1", 0, 0, CENSORED)]
    assert statuses_of(cohort_of([stated]), 400) == {"never_imaged": 1}


def test_given_imaging_after_the_cut_off_then_it_does_not_count() -> None:
    stated = with_lesions(course(0, "L1"), imaged(40, "L1"), imaged(90, "L1", status="indeterminate"))
    assert lesion_times(60, stated) == [LesionTime("L1", 0, 40, CENSORED)]
    assert statuses_of(cohort_of([stated]), 60) == {"controlled": 1}
    assert statuses_of(cohort_of([stated]), 90) == {"indeterminate": 1}


def test_given_two_statuses_on_one_day_then_the_worst_one_stands() -> None:
    stated = with_lesions(
        course(0, "L1"), imaged(40, "L1"), imaged(40, "L1", status="necrosis"), imaged(30, "L1", status="progressed")
    )
    assert statuses_of(cohort_of([stated]), 400) == {"necrosis": 1}


def test_given_a_progression_stated_by_imaging_then_it_is_the_last_imaging() -> None:
    stated = with_lesions(course(0, "L1"), imaged(40, "L1"), follow_up.disease_progressed(60, "L1"))
    assert statuses_of(cohort_of([stated]), 400) == {"progressed": 1}


def test_given_necrosis_then_it_is_no_failure_but_an_event_on_request() -> None:
    stated = with_lesions(course(0, "L1"), imaged(40, "L1", status="necrosis"), imaged(70, "L1", status="progressed"))
    assert lesion_times(400, stated) == [LesionTime("L1", 0, 70, FAILURE)]
    assert lesion_times(400, stated, event="necrosis") == [LesionTime("L1", 0, 40, FAILURE)]
    failing = with_lesions(course(0, "L1"), imaged(40, "L1", status="progressed"), imaged(70, "L1", status="necrosis"))
    assert lesion_times(400, failing, event="necrosis") == [LesionTime("L1", 0, 70, FAILURE)]


def test_given_a_death_then_it_competes_however_long_ago_the_last_imaging_was_and_the_gap_is_noted() -> None:
    long_ago = with_lesions(course(0, "L1", "L2"), imaged(10, "L1"), imaged(11, "L2"), dead(194))
    snapshot = cohort_of([long_ago])
    times = local_control(snapshot, selection(400))
    assert times_of(snapshot, times) == [LesionTime("L1", 0, 194, DEATH), LesionTime("L2", 0, 194, DEATH)]
    assert times.is_death_after_gap.tolist() == [True, False]
    before = with_lesions(course(0, "L1", "L2"), imaged(-10, "L1"), imaged(-11, "L2"), dead(173))
    times = local_control(cohort_of([before]), selection(400))
    assert times.is_death_after_gap.tolist() == [False, True], "an imaging before the treatment is one"


def test_given_a_death_without_a_date_then_time_ends_on_the_last_imaging() -> None:
    snapshot = cohort_of([with_lesions(course(0, "L1"), imaged(60, "L1"), *alive(100), dead(None))])
    times = local_control(snapshot, selection(400))
    assert times_of(snapshot, times) == [LesionTime("L1", 0, 60, CENSORED)]
    ((name, reading),) = other_control_readings(snapshot, selection(400), times)
    assert (name, times_of(snapshot, reading)) == ("undated_as_event", [LesionTime("L1", 0, 101, DEATH)])


def test_given_a_withdrawal_then_a_later_death_does_not_compete() -> None:
    leaving = with_lesions(course(0, "L1"), imaged(60, "L1"), facts.consent_withdrawn(100), dead(150))
    snapshot = cohort_of([leaving])
    times = local_control(snapshot, selection(400))
    assert times_of(snapshot, times) == [LesionTime("L1", 0, 60, CENSORED)]
    assert [name for name, _ in other_control_readings(snapshot, selection(400), times)] == ["deaths_after_leaving"]


def test_given_an_enrollment_after_time_0_then_the_lesion_enters_on_it() -> None:
    stated = with_lesions(course(0, "L1", "L2"), imaged(60, "L1"), imaged(20, "L2"), enrolled=30)
    snapshot = cohort_of([stated])
    times = local_control(snapshot, selection(400))
    assert times_of(snapshot, times) == [LesionTime("L1", 30, 60, CENSORED)]
    assert {reason: count for reason, count in times.lesions_not_counted.items() if count} == {
        "entry_not_before_exit": 1
    }
    assert not any(times.not_counted.values())
    failing = with_lesions(course(0, "L1"), imaged(20, "L1", status="progressed"), enrolled=30)
    only_failure = local_control(cohort_of([failing]), selection(400))
    assert only_failure.not_counted["event_before_entry"] == only_failure.lesions_not_counted["event_before_entry"] == 1


def test_imputed_dates_are_those_that_fixed_a_time_each_once() -> None:
    month = facts.radiotherapy_started("2024-02", "A", facts.target("T1", "L1", "L2"), index=False)
    stated = with_lesions(month, imaged(150, "L1"), follow_up.follow_up_recorded("2024-07", "L2"))
    assert local_control(cohort_of([stated]), selection(400)).imputed_dates == 2
    assert local_control(cohort_of([stated]), selection(160)).imputed_dates == 1
