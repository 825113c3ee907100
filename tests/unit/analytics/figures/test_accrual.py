"""Accrual: its curve, its strata and its target."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.accrual import Accrual, AccrualStep
from services.analytics.figures.figure import Publication
from services.analytics.snapshot.selection import Selection
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.figures.example_answers import (
    accrual,
    accrual_by_site,
    caption_of,
    context_of,
    figure_of,
    render_svg,
    svg_texts,
)
from tests.unit.analytics.support import SCREENED, TODAY, snapshot_of, snapshot_of_events

ALL_PARTICIPANTS = Selection(TODAY)


def test_month_is_imputed_as_its_middle_but_not_in_the_future() -> None:
    facts_by_participant = {
        "p": [facts.participant_screened("2024-03"), facts.participant_enrolled("2025-01")],
        "q": [facts.participant_screened("2025-01-29"), facts.participant_enrolled("2025-01-30")],
    }
    counted = Accrual.compute(snapshot_of(facts_by_participant), ALL_PARTICIPANTS)
    assert counted.groups[0].curve == (
        AccrualStep(on=date.fromisoformat("2025-01-15"), cumulative=1),
        AccrualStep(on=date.fromisoformat("2025-01-30"), cumulative=2),
        AccrualStep(on=TODAY, cumulative=2),
    )
    assert counted.imputed_dates == 1


def test_accrual_is_stratified_by_enrolling_site() -> None:
    facts_by_participant = {
        "p": [SCREENED, facts.participant_enrolled("2024-01-02")],
        "q": [facts.participant_screened(site_id="milan"), facts.participant_enrolled("2024-01-03")],
    }
    groups = Accrual.compute(snapshot_of(facts_by_participant), Selection(TODAY, by="site")).groups
    assert [(group.name, group.enrolled) for group in groups] == [("milan", 1), ("rome", 1)]
    assert (
        Accrual.compute(snapshot_of(facts_by_participant), Selection(TODAY, frozenset({"milan"}))).groups[0].enrolled
        == 1
    )


def test_publication_has_no_plan_because_its_first_step_is_no_day_of_enrollment() -> None:
    answer = accrual(groups=accrual_by_site()["groups"])
    figure, context = figure_of(answer), context_of(answer)
    published = replace(context, publication=Publication(cut="first", edition="first"))
    assert ("constant rate" in figure.caption(context), "constant rate" in figure.caption(published)) == (True, False)
    assert ("Latest" in figure.draw(context), "Latest" in figure.draw(published)) == (True, False)


@pytest.mark.parametrize("day", [1, 10, 20])
def test_partial_date_is_imputed_by_the_recording_day_and_not_by_the_cut_off(day: int) -> None:
    in_march = [facts.participant_screened("2024-03"), facts.participant_enrolled("2024-03")]
    study_snapshot = snapshot_of_events(participant_events(in_march, known_on=date(2024, 3, day)))
    imputed_day = min(day, 15)
    for cut_date in (date(2024, 3, imputed_day), TODAY):
        (group,) = Accrual.compute(study_snapshot, Selection(cut_date)).groups
        assert group.curve[0] == AccrualStep(on=date(2024, 3, imputed_day), cumulative=1)
    day_before = date(2024, 3, imputed_day) - timedelta(days=1)
    (group,) = Accrual.compute(study_snapshot, Selection(day_before)).groups
    assert group.curve == (AccrualStep(on=day_before, cumulative=0),)


def test_accrual_runs_flat_through_quiet_months_to_the_cut_off() -> None:
    stated = {
        "p": [SCREENED, facts.participant_enrolled("2024-02-10")],
        "q": [SCREENED, facts.participant_enrolled("2024-05-31")],
    }
    cohort, everyone = snapshot_of(stated), Selection(date(2024, 7, 20))
    figure = Accrual.compute(cohort, everyone)
    expected = [
        ("2024-02-10", 1, 1),
        ("2024-03-31", 0, 1),
        ("2024-04-30", 0, 1),
        ("2024-05-31", 1, 2),
        ("2024-06-30", 0, 2),
        ("2024-07-20", 0, 2),
    ]
    assert [(step.on.isoformat(), step.cumulative) for step in figure.groups[0].curve] == [
        (day, total) for day, _, total in expected
    ]
    assert figure.table()[1] == [["all", day, str(enrolled), str(total)] for day, enrolled, total in expected]
    on_the_day = Accrual.compute(cohort, Selection(date(2024, 5, 31))).groups[0].curve
    assert [step.on.isoformat() for step in on_the_day][-2:] == ["2024-04-30", "2024-05-31"]


def test_group_without_anybody_has_0_on_the_cut_off() -> None:
    enrolled = {"p": [SCREENED, facts.participant_enrolled("2024-02-10")]}
    female, male = Accrual.compute(snapshot_of(enrolled), Selection(TODAY, by="sex")).groups
    empty = female if female.enrolled == 0 else male
    assert empty.curve == (AccrualStep(on=TODAY, cumulative=0),)
    (nobody,) = Accrual.compute(snapshot_of({}), ALL_PARTICIPANTS).groups
    assert nobody.curve == (AccrualStep(on=TODAY, cumulative=0),)
    figure = Accrual.compute(snapshot_of({}), ALL_PARTICIPANTS)
    context = replace(context_of(accrual()), cut_date=TODAY)
    assert "No participant is enrolled yet" in figure.draw(context)
    assert "constant rate" not in figure.caption(context)
    assert figure.narrowed_to("nowhere").groups[0].curve == figure.groups[0].curve


def test_accrual_target_is_a_straight_line_from_the_first_enrollment() -> None:
    halfway = accrual(cut="2024-12-31")
    assert "3 / 10 = 30.0 % of the participants planned by 2025-12-31 are enrolled" in caption_of(halfway)
    expected = "Accrual at a constant rate would have reached 5 participants by the data cut-off."
    assert expected in caption_of(halfway)
    assert "The protocol has no accrual target." in caption_of(accrual(target=None))


def test_accrual_by_site_shows_the_total_and_lists_largest_sites_first() -> None:
    assert "3 enrolled" in svg_texts(accrual_by_site())
    listed = [word for word in svg_texts(accrual_by_site()) if word in ("one", "two", "three")]
    assert listed == ["two", "one", "three"]
    assert figure_of(accrual_by_site()).table()[1] == [
        ["one", "2024-01-01", "1", "1"],
        ["two", "2024-07-01", "2", "2"],
    ]


@given(st.lists(st.integers(1, 400), max_size=200), st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_accrual_curves_stay_within_the_frame(gaps: list[int], start: date) -> None:
    days = [start + timedelta(days=passed) for passed in accumulate(gaps)]
    curve = [{"on": str(day), "cumulative": count} for count, day in enumerate(days, 1)]
    cut = str(days[-1] if days else start)
    figure = accrual(groups=[{"name": "all", "enrolled": len(days), "curve": curve}], cut=cut)
    paths = re.findall(r' d="([^"]*)"', render_svg(figure))
    assert all(0 <= float(coordinate) <= 640 for path in paths for coordinate in re.findall(r"\d+\.?\d*", path))


@pytest.mark.parametrize("narrowed", [{"site": "one"}, {"subset": "stereotactic"}])
def test_filtered_accrual_is_not_compared_with_the_target(narrowed: dict[str, str]) -> None:
    part_of_it = accrual(parameters=narrowed)
    assert caption_of(part_of_it).startswith(
        "3 participants enrolled by the data cut-off. The target is for the whole study. "
    )
    assert figure_of(part_of_it).headline(context_of(part_of_it)) == [("accrued", "3", "enrolled")]
    assert not any("Target" in text for text in svg_texts(part_of_it))
