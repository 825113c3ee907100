"""The figure of toxicity grades: its counts, its words, its picture, and what readers see of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.toxicity_grades import ToxicityGradesFigure
from services.analytics.figures.toxicity_grades_chart import MOST_TERMS
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.terminology.ctcae import load_dictionary
from shared.testing.builders.toxicity_facts import finding, toxicity_assessed
from tests.svg import parse_svg
from tests.unit.analytics.endpoints.cohorts import FOUR_CASES_CUT, cohort_of, four_cases, selection, treated
from tests.unit.analytics.endpoints.toxicity_cohorts import TO_DISEASE, baseline, graded
from tests.unit.analytics.support import RECORDED_AT

SVG = "{http://www.w3.org/2000/svg}"
CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)
NOBODY = {"0": 0, "1": 0, "2": 0, "3": 0, "4": 0, "5": 0, "not_assessed": 0}


def figure_of(snapshot: StudySnapshot) -> ToxicityGradesFigure:
    return ToxicityGradesFigure.compute(snapshot, selection(300))


def three_participants() -> StudySnapshot:
    return cohort_of(
        [
            treated(baseline(-1, 1), graded(10, 3), enrolled=-2),
            treated(graded(10, 2, **TO_DISEASE)),
            treated(graded(10, None)),
        ]
    )


def test_each_participant_counts_once_before_after_and_of_what_is_related() -> None:
    json: Any = figure_of(three_participants()).to_json()
    assert (json["origin"], json["dictionary"], json["n"]) == ("rt_start", "ctcae-3.0", 3)
    (term,) = json["terms"]
    assert (term["term"], term["name"]) == ("3.0:0150", "Dysphagia (difficulty swallowing)")
    assert term["before"] == {**NOBODY, "1": 1, "not_assessed": 2}
    assert term["after"] == {**NOBODY, "2": 1, "3": 1, "not_assessed": 1}
    assert term["after_related"] == {**NOBODY, "0": 1, "3": 1, "not_assessed": 1}
    assert (term["ungraded_before"], term["ungraded"]) == (0, 1)


def test_caption_names_the_terms_with_severe_grades_and_what_was_never_graded() -> None:
    caption = figure_of(three_participants()).caption(CONTEXT)
    assert "Worst grade of each term per participant, of 3 participants: at baseline by the start of the" in caption
    assert "Participants with grade 3 or more since then: Dysphagia (difficulty swallowing) 1." in caption
    assert "Not assessed since then because nothing was graded: 1 pair of a participant and a term." in caption
    assert "Nobody has had a grade of 3 or more since then." in figure_of(cohort_of([treated(graded(10, 2))])).caption(
        CONTEXT
    )


def test_table_has_every_term_in_three_periods() -> None:
    header, rows = figure_of(four_cases()).table()
    assert header[:3] == ["Term", "Name", "Period"]
    assert [row[2] for row in rows[:3]] == ["before", "after", "after, related"]
    assert {sum(map(int, row[3:])) for row in rows} == {4}
    assert {len(row) for row in rows} == {len(header)}


def many_terms(count: int) -> list[Fact]:
    terms = list(load_dictionary("ctcae-3.0").terms)[:count]
    return treated(toxicity_assessed(10, *[finding(term, 1) for term in terms], checklist_complete=False))


@pytest.mark.parametrize(
    ("cohort", "words"),
    [
        ([], "Nobody has been treated"),
        ([treated()], "No toxicity was found"),
        ([treated(graded(10, 5))], "0 → 1"),
        ([many_terms(60)], "Before"),
    ],
)
def test_small_and_large_cohorts_draw_what_is_known(cohort: list[list[Fact]], words: str) -> None:
    texts = [element.text for element in parse_svg(figure_of(cohort_of(cohort)).draw(CONTEXT)).iter(f"{SVG}text")]
    assert words in texts


def test_picture_of_many_terms_has_the_most_severe_and_says_how_many_more_there_are() -> None:
    figure = figure_of(cohort_of([many_terms(MOST_TERMS + 2)]))
    assert f"The picture has the {MOST_TERMS} terms with the highest grades; 2 more are in the table." in (
        figure.caption(CONTEXT)
    )
    picture = parse_svg(figure.draw(CONTEXT))
    assert [element.text for element in picture.iter(f"{SVG}text")].count("0 → 0") == MOST_TERMS


def test_readers_see_all_counts_of_the_whole_study() -> None:
    figure = figure_of(three_participants())
    assert figure.published(5, FOUR_CASES_CUT) == figure
    assert not ToxicityGradesFigure.STRATIFICATIONS
