"""The `.json` answers of figures: their members, what readers see of them, and their schema in OpenAPI."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import JsonValue, TypeAdapter

from services.analytics.figures.answers import ANY_FIGURE_ANSWER
from services.analytics.figures.curve_support import CurveFigure
from services.analytics.figures.figure import Figure, FigureAnswer, FigureContext, Publication
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.page_content import page_content
from services.analytics.figures.publishing import publish
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.errors import ReadersSeeCuts
from tests.unit.analytics.figures.example_answers import example_cohort
from tests.unit.analytics.support import TODAY, snapshot_of

CONTEXT = FigureContext(
    study_id="atc-rt",
    position=7,
    recorded_at=datetime(2025, 1, 31, 12, tzinfo=UTC),
    cut_date=TODAY,
    filters=FigureFilters(site="rome"),
)
SCHEMA = TypeAdapter(ANY_FIGURE_ANSWER).json_schema(mode="serialization")
PUBLISHED_FIGURES = [name for name, figure in FIGURES.items() if not figure.DISCLOSURE.person_level]
LAST_MEMBERS = ["imputed_dates", "left_out"]


def answer_figure(figure: Figure, context: FigureContext = CONTEXT) -> dict[str, JsonValue]:
    return FigureAnswer(figure=figure, context=context).to_json()


def schema_errors(answer: dict[str, JsonValue]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(answer)]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("cohort", [snapshot_of({}), example_cohort()], ids=["empty", "example"])
def test_every_answer_matches_the_schema_of_its_figure(name: str, cohort: StudySnapshot) -> None:
    answer = answer_figure(FIGURES[name].compute(cohort, Selection(TODAY)))
    assert schema_errors(answer) == []
    assert schema_errors({**answer, "left_out": "many"}), "the schema describes something"


@pytest.mark.parametrize("name", PUBLISHED_FIGURES)
@pytest.mark.parametrize("cohort", [snapshot_of({}), example_cohort()], ids=["empty", "example"])
def test_every_publication_matches_the_schema_of_its_figure(name: str, cohort: StudySnapshot) -> None:
    published = publish(FIGURES[name].compute(cohort, Selection(TODAY)), 5, TODAY)
    answer = answer_figure(published, replace(CONTEXT, publication=Publication(cut="second", edition="first")))
    assert schema_errors(answer) == []
    assert answer["publication"] == {"cut": "second", "edition": "first"}


@pytest.mark.parametrize("name", FIGURES)
def test_members_of_every_figure_stand_first_and_last(name: str) -> None:
    answer = answer_figure(FIGURES[name].compute(example_cohort(), Selection(TODAY)))
    assert [*answer][:6] == ["figure", "study_id", "position", "recorded_at", "cut", "parameters"]
    assert [*answer][-2:] == LAST_MEMBERS
    assert answer["recorded_at"] == "2025-01-31T12:00:00+00:00"
    assert answer["parameters"] == {"site": "rome", "subset": "all"}
    assert "publication" not in answer


def test_members_that_do_not_apply_are_left_out_and_unknown_ones_are_null() -> None:
    answer: Any = answer_figure(FIGURES["treatments"].compute(example_cohort(), Selection(TODAY)))
    brain, other = answer["targets"]
    assert [name for name in brain if name not in other] == ["bed_2", "eqd2_2"]
    assert other["ended_on"] is None


@pytest.mark.parametrize("name", FIGURES)
def test_readers_get_every_count_of_the_whole_study_but_no_day_of_a_participant(name: str) -> None:
    figure = FIGURES[name].compute(example_cohort(), Selection(TODAY))
    if figure.DISCLOSURE.person_level:
        with pytest.raises(ReadersSeeCuts):
            publish(figure, 5, TODAY)
        return
    answer = FigureAnswer(figure=publish(figure, 5, TODAY), context=CONTEXT)
    assert answer.to_json()["left_out"] == 1
    for day in ("2024-02-01", "2024-03-01", "2024-03-15", "2024-04-15"):
        assert day not in str(answer.to_json()) + figure.caption(CONTEXT) + str(answer.figure.table())
        assert day not in answer.figure.draw(CONTEXT)


def test_enrollment_of_few_is_published_with_the_day_of_the_cut_alone() -> None:
    published: Any = answer_figure(publish(FIGURES["accrual"].compute(example_cohort(), Selection(TODAY)), 5, TODAY))
    assert published["groups"] == [
        {"name": "all", "enrolled": 2, "curve": [{"on": TODAY.isoformat(), "cumulative": 2}]}
    ]


def test_caption_names_the_publication_and_what_is_of_the_whole_study() -> None:
    figure = publish(FIGURES["accrual"].compute(example_cohort(), Selection(TODAY)), 5, TODAY)
    context = replace(CONTEXT, publication=Publication(cut="second", edition="second"))
    assert ", publication second, site rome; in the whole study 1 imputed date, 1 participant" in figure.caption(
        context
    )
    older = replace(context, publication=Publication(cut="second", edition="first"))
    assert "publication first (this division was not published anew with second)" in figure.caption(older)
    assert "publication" not in figure.caption(CONTEXT)


@pytest.mark.parametrize("name", [name for name in PUBLISHED_FIGURES if issubclass(FIGURES[name], CurveFigure)])
def test_caption_and_definition_of_a_published_curve_call_it_a_life_table(name: str) -> None:
    figure = FIGURES[name].compute(example_cohort(), Selection(TODAY))
    context = replace(CONTEXT, publication=Publication(cut="second", edition="second"))
    published = page_content(FigureAnswer(figure=publish(figure, 5, TODAY), context=context))
    assert "life table" in published.caption
    assert "life table" in published.definition
    of_site = page_content(FigureAnswer(figure=figure, context=CONTEXT))
    assert "life table" not in of_site.caption + of_site.definition
