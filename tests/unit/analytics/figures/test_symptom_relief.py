"""Symptom relief: whom each symptom counts, its shares, and the time to first relief with death competing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.symptom_numbers import SymptomRows
from services.analytics.figures.symptom_relief import SymptomReliefFigure
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    treated,
)
from tests.unit.analytics.support import ENROLLED, RECORDED_AT, SCREENED, TODAY

CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


def baseline(severity: str | int = "mild", day: int = 0) -> Fact:
    return facts.baseline_recorded(day, symptoms=[{"symptom": "pain", "severity": severity}])


def change(day: int, status: str, **changes: Any) -> Fact:
    return follow_up_recorded(day, symptoms=[{"symptom": "pain", "change": status}], **changes)


def symptomatic(*more: Fact, severity: str | int = "mild", start: int = 0) -> list[Fact]:
    """Returns a participant with pain at baseline on day 0, whose index course starts on a day."""
    return treated(baseline(severity), *more, start=start)


def pain_in(snapshot: StudySnapshot, cut: int = 400, **changes: Any) -> SymptomRows:
    (pain,) = SymptomReliefFigure.compute(snapshot, selection(cut, **changes)).groups[0].symptoms
    return pain


def counts(pain: SymptomRows) -> dict[str, int]:
    return {name: share.participants for name, share in pain.shares().items() if share.participants}


WORKED_EXAMPLE = [
    symptomatic(change(30, "improved")),
    symptomatic(change(60, "resolved")),
    symptomatic(change(90, "improved")),
    symptomatic(change(120, "worse")),
    symptomatic(dead(45)),
]


def test_worked_example_has_relief_in_three_of_five_and_second_in_three_of_four() -> None:
    figure = SymptomReliefFigure.compute(cohort_of(WORKED_EXAMPLE), selection(400))
    (pain,) = figure.groups[0].symptoms
    relieved, second = pain.relieved, pain.relieved_of_assessed
    assert (relieved.participants, relieved.of, second.of) == (3, 5, 4)
    assert (relieved.lower, relieved.upper) == pytest.approx((0.146632799634673, 0.947255049473683), abs=1e-12)
    assert (second.lower, second.upper) == pytest.approx((0.194120449683243, 0.993690536790290), abs=1e-12)
    assert counts(pain) == {
        "relieved": 3,
        "relieved_of_assessed": 3,
        "relieved_at_last": 3,
        "worse_at_last": 1,
        "assessed": 4,
        "died_before_contact": 1,
    }
    assert (
        "pain: relief of those with the symptom 3 / 5 = 60.0 % (95 % CI 14.7–94.7); of those assessed after baseline "
        "3 / 4 = 75.0 % (95 % CI 19.4–99.4)."
    ) in figure.caption(CONTEXT)
    assert figure.headline(CONTEXT) == [("relieved", "3", "relieved, of 5 symptoms at baseline")]


def test_incidence_of_first_relief_is_that_of_r_with_death_competing() -> None:
    incidence = pain_in(cohort_of(WORKED_EXAMPLE)).incidence
    rows = [(row.time, row.at_risk, row.estimate, row.competing) for row in incidence.curve]
    assert rows[0] == (0, 5, 0, 0)
    expected = [(30, 5, 0.2, 0.0), (45, 4, 0.2, 0.2), (60, 3, 0.4, 0.2), (90, 2, 0.6, 0.2), (120, 1, 0.6, 0.2)]
    assert rows[1:] == [pytest.approx(row, abs=1e-12) for row in expected]
    limits = [row.lower for row in incidence.curve if row.time == 90] + [
        row.upper for row in incidence.curve if row.time == 90
    ]
    assert limits == pytest.approx([0.04785983183322137, 0.91773080257491124], abs=1e-12)
    assert (incidence.n, incidence.events, incidence.events_by_cause) == (5, 3, {"death": 1})
    for row in incidence.curve:
        assert (row.estimate or 0) + (row.competing or 0) + (row.event_free or 0) == pytest.approx(1, abs=1e-12)


def test_symptom_is_present_above_none_and_not_evaluable_without_a_baseline_that_states_it() -> None:
    snapshot = cohort_of(
        [
            *(symptomatic(severity=severity) for severity in ("none", 0, "mild", 1, "severe")),
            treated(facts.baseline_recorded(0)),
            treated(),
            treated(baseline(day=500)),
        ]
    )
    figure = SymptomReliefFigure.compute(snapshot, selection(400))
    (pain,) = figure.groups[0].symptoms
    assert (pain.present, pain.absent, pain.not_evaluable) == (3, 2, 3)
    assert [(row.reason, row.participants) for row in figure.not_counted] == [("not_evaluable", 3)]
    assert figure.groups[0].not_evaluable == 3
    assert "Not evaluable: 3 participants." in figure.caption(CONTEXT)


def test_four_cases_are_not_evaluable() -> None:
    figure = SymptomReliefFigure.compute(four_cases(), selection(FOUR_CASES_CUT))
    assert [(row.reason, row.participants) for row in figure.not_counted] == [("not_evaluable", 4)]
    assert figure.headline(CONTEXT) == [("relieved", "0", "relieved, of 0 symptoms at baseline")]


def test_last_contact_decides_relief_and_worsening_at_the_end() -> None:
    lost_again = pain_in(cohort_of([symptomatic(change(30, "resolved"), change(90, "worse"))]))
    assert counts(lost_again).keys() == {"relieved", "relieved_of_assessed", "worse_at_last", "assessed"}
    contradictory = pain_in(cohort_of([symptomatic(change(30, "resolved"), change(30, "stable"))]))
    assert counts(contradictory).keys() == {"relieved", "relieved_of_assessed", "assessed"}
    other_contact = pain_in(cohort_of([symptomatic(change(30, "improved"), *alive(90))]))
    assert "relieved_at_last" in counts(other_contact)


def test_changes_count_after_baseline_and_by_the_cut_off() -> None:
    snapshot = cohort_of([treated(baseline(day=20), change(20, "improved"), change(40, "improved"))])
    assert [counts(pain_in(snapshot, cut)).get("relieved", 0) for cut in (20, 39, 40)] == [0, 0, 1]


def test_relief_before_the_index_course_is_relief_but_no_event_of_the_incidence() -> None:
    early = pain_in(cohort_of([symptomatic(change(10, "improved"), change(50, "stable"), start=20)]))
    assert (early.relieved.participants, early.incidence.events, early.incidence.n) == (1, 0, 1)
    assert early.incidence.curve[-1].time == 30
    again = pain_in(cohort_of([symptomatic(change(10, "improved"), change(50, "improved"), start=20)]))
    assert [(row.time, row.events) for row in again.incidence.curve] == [(0, 0), (30, 1)]


def test_contact_without_the_symptom_and_news_from_a_registry_are_told_apart() -> None:
    with_contact = symptomatic(*alive(30), dead(45))
    registry = symptomatic(follow_up_recorded(30, mode="registry"), dead(45))
    undated = symptomatic(dead(None))
    pain = pain_in(cohort_of([with_contact, registry, undated]))
    assert (pain.died_before_contact.participants, pain.assessed.participants) == (2, 0)


def test_death_without_a_date_and_a_withdrawal_end_the_time_without_an_event() -> None:
    undated = symptomatic(change(30, "stable"), dead(None))
    withdrawn = symptomatic(change(30, "stable"), facts.consent_withdrawn(40), dead(60))
    incidence = pain_in(cohort_of([undated, withdrawn])).incidence
    assert [(row.time, row.censored) for row in incidence.curve if row.censored] == [(30, 2)]
    assert incidence.events_by_cause == {"death": 0}


def test_never_assessed_is_censored_on_day_0_and_without_an_index_course_there_is_no_time() -> None:
    pain = pain_in(cohort_of([symptomatic(*alive(99)), [SCREENED, ENROLLED, baseline()]]))
    assert (pain.present, pain.incidence.n) == (2, 1)
    assert [(row.time, row.at_risk, row.censored) for row in pain.incidence.curve] == [(0, 1, 1)]


def test_relief_before_the_stereotactic_course_is_none_of_the_stereotactic_subset() -> None:
    snapshot = cohort_of([symptomatic(change(30, "improved"), change(90, "stable"), stereotactic_course(60))])
    assert pain_in(snapshot).relieved.participants == 1
    subset = pain_in(snapshot, subset="stereotactic")
    assert (subset.present, subset.relieved.participants, subset.assessed.participants) == (1, 0, 1)


def test_groups_without_anybody_are_there() -> None:
    figure = SymptomReliefFigure.compute(cohort_of(WORKED_EXAMPLE), selection(400, by="sex"))
    assert [(group.name, group.n, group.symptoms[0].present) for group in figure.groups] == [
        ("female", 5, 5),
        ("male", 0, 0),
    ]
    header, rows = figure.table()
    assert {len(row) for row in rows} == {len(header)}
    assert ["female", "pain", "Relief ever", "3", "5", "60.0", "14.7", "94.7"] in rows


def test_readers_get_counts_and_a_life_table_without_a_day() -> None:
    participants = [symptomatic(change(20 + day, "improved")) for day in range(6)]
    participants += [symptomatic(dead(70 + day)) for day in range(6)]
    figure = SymptomReliefFigure.compute(cohort_of(participants), selection(400))
    (pain,) = figure.published(5, TODAY).groups[0].symptoms
    assert (pain.relieved.participants, pain.relieved.of) == (6, 12)
    curve = pain.incidence.curve
    assert [(row.month, row.at_risk, row.events, row.lower) for row in curve] == [(1, 5, None, None)]
    moved = [symptomatic(change(21 + day, "improved")) for day in range(6)] + participants[6:]
    neighbor = SymptomReliefFigure.compute(cohort_of(moved), selection(400))
    assert neighbor.published(5, TODAY).to_json() == figure.published(5, TODAY).to_json()


def test_imputed_dates_are_each_counted_once() -> None:
    dated = [
        facts.participant_screened("2024-02-01"),
        facts.participant_enrolled("2024-02"),
        facts.baseline_recorded("2024-02", symptoms=[{"symptom": "pain", "severity": 2}]),
        facts.radiotherapy_started("2024-03"),
        follow_up_recorded("2024-05", symptoms=[{"symptom": "pain", "change": "improved"}]),
    ]
    assert SymptomReliefFigure.compute(cohort_of([dated]), Selection(TODAY)).imputed_dates == 3


COURSES = st.fixed_dictionaries(
    {
        "severity": st.sampled_from(["none", "mild", 0, 5]),
        "start": st.integers(0, 20),
        "changes": st.lists(
            st.tuples(st.integers(0, 80), st.sampled_from(["improved", "stable", "worse", "resolved"])), max_size=4
        ),
        "death": st.none() | st.integers(81, 120),
    }
)


@given(st.lists(COURSES, max_size=6), st.integers(0, 130))
def test_shares_are_those_of_a_plain_count_and_nested(courses: list[dict[str, Any]], cut: int) -> None:
    participants = [
        symptomatic(
            *(change(day, status) for day, status in row["changes"]),
            *([] if row["death"] is None else [dead(row["death"])]),
            severity=row["severity"],
            start=row["start"],
        )
        for row in courses
    ]
    symptoms = SymptomReliefFigure.compute(cohort_of(participants), selection(cut)).groups[0].symptoms
    present = [row for row in courses if row["severity"] not in ("none", 0)]
    counted = [[(day, status) for day, status in row["changes"] if 0 < day <= cut] for row in present]
    relieved = sum(any(status in ("improved", "resolved") for _, status in rows) for rows in counted)
    if not symptoms:
        assert not courses
        return
    (pain,) = symptoms
    assert (pain.present, pain.absent, pain.not_evaluable) == (len(present), len(courses) - len(present), 0)
    assert pain.assessed.participants == sum(bool(rows) for rows in counted)
    assert pain.relieved.participants == pain.relieved_of_assessed.participants == relieved
    assert pain.relieved_at_last.participants + pain.worse_at_last.participants <= pain.assessed.participants
    assert pain.relieved_at_last.participants <= relieved
    assert pain.incidence.events <= relieved
    assert pain.incidence.n <= pain.present
    unseen = sum(not row["changes"] or max(day for day, _ in row["changes"]) == 0 for row in present if row["death"])
    assert cut < 120 or pain.died_before_contact.participants == unseen
