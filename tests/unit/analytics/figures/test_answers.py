"""The `.json` answers of figures: their members, what readers see of them, and their schema in OpenAPI."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import JsonValue, TypeAdapter

from services.analytics.cohort.cohort import Cohort, Selection
from services.analytics.figures.answers import ANY_FIGURE_ANSWER
from services.analytics.figures.disclosure import Stratum
from services.analytics.figures.figure import Figure, FigureContext, FigureFilters
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import answer_figure
from shared.kernel.errors import Forbidden
from tests.unit.analytics.figures.example_answers import example_cohort
from tests.unit.analytics.support import TODAY, cohort_of

CONTEXT = FigureContext(
    study_id="atc-rt",
    position=7,
    recorded_at=datetime(2025, 1, 31, 12, tzinfo=UTC),
    cut_date=TODAY,
    filters=FigureFilters(site="rome"),
)
SCHEMA = TypeAdapter(ANY_FIGURE_ANSWER).json_schema(mode="serialization")
LAST_MEMBERS = ["imputed_dates", "left_out"]


def group_members(figure: Figure) -> set[str]:
    """The members of a divided figure that list its groups."""
    return {
        member
        for member, groups in figure
        if isinstance(groups, tuple) and any(isinstance(group, Stratum) and group.name != "all" for group in groups)
    }


def schema_errors(answer: dict[str, JsonValue]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(answer)]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("threshold", [None, 2, 40])
@pytest.mark.parametrize("cohort", [cohort_of({}), example_cohort()], ids=["empty", "example"])
def test_every_answer_matches_the_schema_of_its_figure(name: str, threshold: int | None, cohort: Cohort) -> None:
    figure = FIGURES[name].compute(cohort, Selection(TODAY))
    answer = answer_figure(figure, CONTEXT, threshold, is_whole_study=False).to_json()
    assert schema_errors(answer) == []
    assert schema_errors({**answer, "left_out": "many"}), "the schema describes something"


@pytest.mark.parametrize("name", FIGURES)
def test_members_of_every_figure_stand_first_and_last(name: str) -> None:
    answer = answer_figure(FIGURES[name].compute(example_cohort(), Selection(TODAY)), CONTEXT).to_json()
    assert [*answer][:6] == ["figure", "study_id", "position", "recorded_at", "cut", "parameters"]
    assert [*answer][-2:] == LAST_MEMBERS
    assert answer["recorded_at"] == "2025-01-31T12:00:00+00:00"
    assert answer["parameters"] == {"site": "rome", "subset": "all"}


def test_members_that_do_not_apply_are_left_out_and_unknown_ones_are_null() -> None:
    answer: Any = answer_figure(FIGURES["treatments"].compute(example_cohort(), Selection(TODAY)), CONTEXT).to_json()
    brain, other = answer["targets"]
    assert [name for name in brain if name not in other] == ["bed_2", "eqd2_2"]
    assert other["ended_on"] is None


@pytest.mark.parametrize("name", FIGURES)
def test_readers_get_no_small_count_and_nothing_that_is_made_of_it(name: str) -> None:
    figure = FIGURES[name].compute(example_cohort(), Selection(TODAY))
    answer = answer_figure(figure, CONTEXT, 5, is_whole_study=False)
    assert (answer.to_json()["left_out"], answer.to_json()["withheld_below"]) == (None, 5)
    assert [*answer.to_json()] == [*answer_figure(figure, CONTEXT).to_json(), "withheld_below"]
    with pytest.raises(Forbidden, match="Readers do not see small counts"):
        answer.require_figure()


@pytest.mark.parametrize("name", FIGURES)
def test_readers_get_all_counts_of_the_whole_study(name: str) -> None:
    """Counts of groups are withheld, so a figure that is always divided is not shown whole."""
    figure = FIGURES[name].compute(example_cohort(), Selection(TODAY))
    answer, complete = answer_figure(figure, CONTEXT, 5, is_whole_study=True), answer_figure(figure, CONTEXT).to_json()
    withheld = {member for member, value in answer.to_json().items() if value != complete.get(member)}
    assert withheld <= {"withheld_below", *group_members(figure)}
    assert (answer.figure is None) == bool(withheld)


def test_a_curve_is_withheld_with_its_count() -> None:
    figure = FIGURES["accrual"].compute(example_cohort(), Selection(date(2024, 3, 1) + timedelta(days=90), by="site"))
    answer: Any = answer_figure(figure, CONTEXT, 2, is_whole_study=True).to_json()
    assert answer["groups"] == [{"name": name, "enrolled": None, "curve": []} for name in ("milan", "rome")]
