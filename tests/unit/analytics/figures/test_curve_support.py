"""The marks of curves over time: thin beyond planned follow-up, shaded without recent proofs of life."""

from __future__ import annotations

from typing import Any

import pytest

from services.analytics.figures.curve_frame import line_styles
from services.analytics.figures.curve_support import CurveFigure
from services.analytics.figures.distant_control import DistantControl
from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.first_failure import FirstFailure
from services.analytics.figures.follow_up import FollowUp
from services.analytics.figures.local_control import LocalControl
from services.analytics.figures.locoregional_control import LocoregionalControl
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.progression_free_survival import ProgressionFreeSurvival
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.severe_toxicity import SevereToxicity
from services.analytics.figures.survival_publication import last_day_of_month
from services.analytics.figures.symptom_relief import SymptomReliefFigure
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import FOUR_CASES_CUT, alive, cohort_of, dead, selection, treated
from tests.unit.analytics.endpoints.toxicity_cohorts import graded
from tests.unit.analytics.support import RECORDED_AT

CUT = 1200
CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


MARKED_FIGURES: tuple[type[CurveFigure], ...] = (
    OverallSurvival,
    ProgressionFreeSurvival,
    LocalControl,
    LocoregionalControl,
    DistantControl,
    FirstFailure,
    SevereToxicity,
)


def followed(*more: Fact, sex: str = "female") -> list[Fact]:
    """A participant with a treated lesion, whose follow-up is planned for two years from day 10."""
    return [
        facts.participant_screened(0, sex=sex),
        facts.consent_signed(0),
        facts.participant_enrolled(0),
        facts.lesion_registered("L1", 0, kind="primary"),
        facts.radiotherapy_started(0, "RT1", facts.target("T1", "L1")),
        facts.radiotherapy_completed(10),
        *more,
    ]


def compute(figure: type[CurveFigure], *participants: list[Fact], **changes: Any) -> Any:
    return figure.compute(cohort_of(participants), selection(CUT, **changes))


def heavy_and_thin(picture: str) -> tuple[int, int]:
    """Returns the number of heavy and of thin curves."""
    return picture.count('stroke-width="2"'), picture.count('stroke-width="0.75"')


def test_curve_is_thin_beyond_the_planned_follow_up_of_more_than_half() -> None:
    figure = compute(OverallSurvival, followed(*alive(CUT)), followed(*alive(CUT)), treated(dead(900)))
    planned = figure.to_json()["planned_until"]
    assert 10 + 730 < planned < 10 + 730 + 91  # the slot of the last visit ends within an interval
    picture = figure.draw(CONTEXT)
    assert heavy_and_thin(picture) == (1, 1)
    assert "thin: after planned follow-up" in picture
    words = f"Thin after month {planned / 30.4375:.1f}: by then planned follow-up has ended for more than half."
    assert words in figure.caption(CONTEXT)
    assert words in picture


@pytest.mark.parametrize("endings", [0, 1])
def test_curve_has_no_planned_end_while_half_of_the_index_courses_go_on(endings: int) -> None:
    going_on = [treated(*alive(CUT)) for _ in range(2 - endings)]
    figure = compute(OverallSurvival, *going_on, *[followed(*alive(CUT)) for _ in range(endings)])
    assert figure.to_json()["planned_until"] is None
    assert heavy_and_thin(figure.draw(CONTEXT)) == (1, 0)


def test_every_figure_that_draws_a_curve_over_time_is_marked_but_that_of_follow_up_itself() -> None:
    with_curves = {
        figure for figure in FIGURES.values() if any("curve.time" in path for path in figure.DISCLOSURE.other_numbers)
    }
    assert with_curves - {SymptomReliefFigure} == {*MARKED_FIGURES, FollowUp}  # its picture has shares alone
    assert not compute(FollowUp, followed(*alive(300)), followed(dead(900))).not_current


@pytest.mark.parametrize("by", [None, "sex"])
@pytest.mark.parametrize("figure_type", MARKED_FIGURES[2:])
def test_curve_of_incidence_is_thin_beyond_planned_follow_up(figure_type: type[CurveFigure], by: str | None) -> None:
    figure_by = by if by in figure_type.STRATIFICATIONS else None
    figure = compute(
        figure_type, followed(*alive(CUT)), followed(dead(900)), followed(dead(901), sex="male"), by=figure_by
    )
    assert figure.planned_until == compute(OverallSurvival, followed(*alive(CUT))).planned_until
    picture = figure.draw(CONTEXT)
    assert heavy_and_thin(picture)[1] >= 1
    assert "thin: after planned follow-up" in picture
    assert f"Thin after month {figure.planned_until / 30.4375:.1f}: by then planned" in figure.caption(CONTEXT)


@pytest.mark.parametrize("figure_type", MARKED_FIGURES)
def test_curve_is_shaded_while_most_of_the_living_have_no_recent_proof_of_life(
    figure_type: type[CurveFigure],
) -> None:
    contact = alive(300)
    figure = compute(figure_type, followed(*contact), followed(*contact), followed(*alive(CUT)), followed(dead(900)))
    (span,) = figure.to_json()["not_current"]
    assert 300 + 91 < span["start"] < 300 + 91 + 20  # three months and a window of 14 days later
    assert span["end"] == max(row.time for row in figure.groups[0].curve)
    picture = figure.draw(CONTEXT)
    assert picture.count('class="shade"') == 1
    assert "shaded: most not seen lately" in picture
    start, end = span["start"] / 30.4375, span["end"] / 30.4375
    assert f"Shaded in months {start:.1f} to {end:.1f}: more than half of those not known dead" in picture


def test_cohort_that_was_seen_lately_and_cohort_of_nobody_have_no_marks() -> None:
    for participants in ([followed(*alive(400, CUT))], []):
        figure = OverallSurvival.compute(cohort_of(participants), selection(500))
        assert figure.not_current == ()
        assert "shade" not in figure.draw(CONTEXT)


def test_division_has_the_marks_of_the_whole() -> None:
    participants = [*[followed(*alive(300))] * 2, treated(dead(900), sex="male"), followed(*alive(CUT))]
    whole = compute(OverallSurvival, *participants)
    divided = compute(OverallSurvival, *participants, by="sex")
    assert (divided.planned_until, divided.not_current) == (whole.planned_until, whole.not_current)
    assert divided.draw(CONTEXT).count("shaded: ") == 1


def test_participant_with_several_lesions_counts_once_from_the_first_treatment() -> None:
    later = [
        facts.lesion_registered("A2", 0),
        facts.radiotherapy_started(200, "RT2", facts.target("T1", "A2"), index=False),
    ]
    unseen, current = followed(*alive(300)), followed(*alive(CUT))
    once = compute(LocalControl, unseen, unseen, current, followed(dead(900)))
    twice = compute(LocalControl, [*unseen, *later], [*unseen, *later], current, followed(dead(900)))
    assert (once.lesions, twice.lesions) == (4, 6)
    assert (twice.planned_until, twice.not_current) == (once.planned_until, once.not_current)


@pytest.mark.parametrize("figure_type", MARKED_FIGURES)
def test_readers_get_marks_at_ends_of_months_and_by_rounded_counts(figure_type: type[CurveFigure]) -> None:
    deaths = [followed(dead(day)) for day in range(400, 1000, 30)]
    figure = compute(figure_type, *deaths, *[followed(*alive(300)) for _ in range(6)])
    published = figure.published(5, FOUR_CASES_CUT)
    ends = {row.time for row in published.groups[0].curve}
    assert published.not_current
    assert {span.end for span in published.not_current} <= ends
    assert published.not_current[0].start >= last_day_of_month(int(390 / 30.4375))  # not current from day 391
    assert published.planned_until in {last_day_of_month(month) for month in range(20, 30)}
    assert published.planned_until <= figure.planned_until
    few = compute(figure_type, *deaths, *[followed(*alive(300)) for _ in range(4)]).published(5, FOUR_CASES_CUT)
    assert few.not_current == ()
    assert compute(figure_type, *deaths[:4]).published(5, FOUR_CASES_CUT).planned_until is None


@pytest.mark.parametrize("figure_type", MARKED_FIGURES)
def test_day_of_one_proof_of_life_between_two_points_does_not_show_to_readers(figure_type: type[CurveFigure]) -> None:
    deaths = [followed(dead(day)) for day in range(400, 1000, 30)]
    studies = [
        [*deaths, *[followed(*alive(300)) for _ in range(5)], followed(*alive(last))] for last in (300, 302, 304)
    ]
    published = [compute(figure_type, *study).published(5, FOUR_CASES_CUT).to_json() for study in studies]
    assert published[0] == published[1] == published[2]


@pytest.mark.parametrize("figure_type", MARKED_FIGURES[1:])
def test_day_of_one_event_that_is_a_last_proof_of_life_does_not_show_to_readers(figure_type: type[CurveFigure]) -> None:
    deaths = [followed(dead(day)) for day in range(400, 1000, 30)]
    unseen = [followed(*alive(300)) for _ in range(4)]
    published = []
    for day in (402, 408, 414, 420):
        failure = [
            follow_up.disease_progressed(day, "L1"),
            follow_up.disease_progressed(day, kind="distant", body_site="lung"),
            graded(day, 3),
        ]
        figure = compute(figure_type, *deaths, *unseen, followed(*failure))
        assert figure.groups[0].events >= 1
        published.append(figure.published(5, FOUR_CASES_CUT).to_json())
    assert all(answer == published[0] for answer in published)


def test_sixteen_curves_are_told_apart() -> None:
    styles = line_styles(16)
    assert len(set(styles)) == 16
    assert len({style.dash for style in styles[:4]}) == len({style.color for style in styles[:4]}) == 4


def test_curve_of_nobody_has_no_median() -> None:
    assert [name for name, _, _ in compute(OverallSurvival).headline(CONTEXT)] == ["deaths"]
    (deaths, median) = compute(OverallSurvival, followed(*alive(100))).headline(CONTEXT)
    assert (deaths[1:], median[1:]) == (("0", "deaths of 1 at risk"), ("not reached", "median, in months"))
