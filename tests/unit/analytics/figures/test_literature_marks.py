"""Marks of publications on a curve of overall survival: which there are, where they stand, and that no number moves."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureAnswer, FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.literature_chart import MAX_LEGEND_CHARACTERS, MAX_MARKS
from services.analytics.figures.literature_marks import (
    literature_marks,
    published_median,
    published_one_year,
    published_origin,
    published_source,
)
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.snapshot.selection import Origin
from shared.kernel.record import Record
from shared.testing.builders.facts import literature_recorded
from tests.svg import parse_svg
from tests.unit.analytics.endpoints.cohorts import FOUR_CASES_CUT, four_cases, selection
from tests.unit.analytics.support import RECORDED_AT, record_of

MONTH = 30.4375
SVG = "{http://www.w3.org/2000/svg}"
ON_DIAGNOSIS: dict[str, Any] = {"os_unit": "months", "os_anchor": "diagnosis"}


def answer(*studies: Record, **changes: Any) -> FigureAnswer:
    """Returns overall survival of the four cases; with a record, marked by its publications."""
    context = FigureContext(
        study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
    )
    figure = OverallSurvival.compute(four_cases(), selection(FOUR_CASES_CUT, **{"origin": "diagnosed", **changes}))
    plain = FigureAnswer(figure=figure, context=context)
    return plain.with_literature(studies[0]) if studies else plain


def values_of(value: Any) -> tuple[float | None, ...]:
    return (value.estimate, value.lower, value.upper)


@pytest.mark.parametrize(
    ("median_os", "os_unit", "days"),
    [
        (14.5, "weeks (3.3 months)", (101.5, None, None)),
        (2, "months (range 1-22)", (2 * MONTH, None, None)),
        (4, "months (IQR 2-7) vs 2 (1-4)", (4 * MONTH, None, None)),
        (96, "days", (96, None, None)),
        (1.5, "years", (18 * MONTH, None, None)),
        ("3-5", "months after diagnosis", (None, 3 * MONTH, 5 * MONTH)),
        ("3 to 5", "Months", (None, 3 * MONTH, 5 * MONTH)),
        (10, "days (95 % CI 7-21)", (10, 7, 21)),
        (10, "days (95% CI: 7 to 21)", (10, 7, 21)),
        ("10 (95 % CI 7–21)", "days", (10, 7, 21)),
    ],
)
def test_median_is_read_in_days(median_os: Any, os_unit: str, days: tuple[float | None, ...]) -> None:
    median = published_median(literature_recorded(median_os=median_os, os_unit=os_unit))
    assert values_of(median) == days


@pytest.mark.parametrize(
    ("median_os", "os_unit"),
    [
        (3, None),
        (3, "cycles"),
        (3, "monthly"),
        (None, "months"),
        ("5-3", "months"),
        ("about 3", "months"),
        ("1/2", "days"),
        ("1-" + "9" * 200, "days"),
    ],
)
def test_median_that_cannot_be_read_is_none(median_os: Any, os_unit: str | None) -> None:
    assert published_median(literature_recorded(median_os=median_os, os_unit=os_unit)) is None


def test_survival_at_one_year_is_read_as_a_share() -> None:
    assert values_of(published_one_year(literature_recorded(os_1y_pct=50))) == (0.5, None, None)
    assert values_of(published_one_year(literature_recorded(os_1y_pct="50 (95 % CI 25-75)"))) == (0.5, 0.25, 0.75)
    for words in ("35 / 47 / 59 by era", "50-120", "50 (95 % CI 60-75)", None):
        assert published_one_year(literature_recorded(os_1y_pct=words)) is None


def test_origin_is_that_of_a_figure_only_in_its_own_words() -> None:
    words = ("Diagnosis", " enrollment", "start of radiotherapy", "rt_end", "start of stereotactic radiotherapy")
    origins = [published_origin(literature_recorded(os_anchor=word)) for word in words]
    assert origins == ["diagnosed", "enrolled", "rt_start", "rt_end", "stereotactic_start"]
    for word in (
        None,
        "not stated",
        "not stated in paper",
        "initial consultation (as text implies)",
        "after diagnosis",
    ):
        assert published_origin(literature_recorded(os_anchor=word)) is None


@given(anchor=st.text(max_size=30), origin=st.sampled_from(get_args(Origin)))
def test_publication_is_marked_only_on_curves_from_its_own_origin(anchor: str, origin: Origin) -> None:
    study = literature_recorded(median_os=3, os_unit="months").model_copy(update={"os_anchor": anchor})
    assert bool(literature_marks([study], origin)) == (published_origin(study) == origin)


def test_authors_with_their_years_need_no_other() -> None:
    assert published_source(literature_recorded(first_author="Lee NY", year=2022)) == "Lee NY 2022"
    both = literature_recorded(first_author="Nagaiah 2011; Lim 2012", year="2011; 2012")
    assert published_source(both) == "Nagaiah 2011; Lim 2012"
    assert published_source(literature_recorded(first_author="Lim", year="2011; 2012")) == "Lim 2011; 2012"


def test_marks_change_no_number_of_the_figure() -> None:
    marked = answer(record_of(literature_recorded(median_os=3, **ON_DIAGNOSIS, os_1y_pct=40)))
    plain, json = answer().to_json(), marked.to_json()
    assert json.pop("literature") == [
        {
            "ref_id": "LEE2022",
            "source": "Lee NY 2022",
            "measure": "median",
            "time": {"estimate": 3 * MONTH, "lower": None, "upper": None},
            "share": {"estimate": 0.5, "lower": None, "upper": None},
        },
        {
            "ref_id": "LEE2022",
            "source": "Lee NY 2022",
            "measure": "one_year",
            "time": {"estimate": 12 * MONTH, "lower": None, "upper": None},
            "share": {"estimate": 0.4, "lower": None, "upper": None},
        },
    ]
    assert json == plain
    assert marked.figure.table() == answer().figure.table()
    assert marked.figure.headline(marked.context) == answer().figure.headline(answer().context)


def test_picture_without_marks_is_the_same_with_literature_beside_the_study() -> None:
    beside = record_of(literature_recorded(median_os=3, os_unit="months", os_anchor="not stated"))
    plain, unmarked = answer(), answer(beside)
    words = "No publication beside this study counts from diagnosis, so none is marked."
    assert words in unmarked.figure.caption(unmarked.context)
    assert words not in plain.figure.caption(plain.context)
    shapes = [
        [
            (child.tag, child.attrib, child.text)
            for child in parse_svg(figure_answer.figure.draw(figure_answer.context))
        ][2:]
        for figure_answer in (plain, unmarked)
    ]
    assert shapes[0] == shapes[1]


def test_mark_has_a_shape_a_letter_a_legend_and_words() -> None:
    marked = answer(record_of(literature_recorded(median_os="2 (95 % CI 1-4)", **ON_DIAGNOSIS)))
    picture, plain = (
        parse_svg(figure_answer.figure.draw(figure_answer.context)) for figure_answer in (marked, answer())
    )
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert texts.count("A") == 1
    assert "A  Lee NY 2022 (LEE2022): median 2 (95 % CI 1 to 4) months" in texts
    assert "From publications, not from this study:" in texts
    assert len(list(picture.iter(f"{SVG}path"))) == len(list(plain.iter(f"{SVG}path"))) + 2
    description = picture.find(f"{SVG}desc")
    assert description is not None
    assert description.text
    assert "Marked from publications, not from this study: Lee NY 2022 (LEE2022): median 2 (95 % CI" in description.text


def test_mark_beyond_the_axis_is_in_the_legend_alone() -> None:
    marked = answer(record_of(literature_recorded(median_os=99, **ON_DIAGNOSIS)))
    picture, plain = (
        parse_svg(figure_answer.figure.draw(figure_answer.context)) for figure_answer in (marked, answer())
    )
    assert len(list(picture.iter(f"{SVG}path"))) == len(list(plain.iter(f"{SVG}path")))
    assert any(str(text.text).endswith("median 99 months (beyond the axis)") for text in picture.iter(f"{SVG}text"))


def test_interval_that_goes_beyond_the_axis_has_no_end_there() -> None:
    def interval_path(upper: int) -> str:
        marked = answer(record_of(literature_recorded(median_os=f"2 (95 % CI 1-{upper})", **ON_DIAGNOSIS)))
        paths = [str(path.get("d")) for path in parse_svg(marked.figure.draw(marked.context)).iter(f"{SVG}path")]
        (interval,) = [path for path in paths if "v8m0 -4H" in path]
        return interval

    assert interval_path(4).endswith("m0 -4v8")
    assert not interval_path(99).endswith("m0 -4v8")


def test_letters_of_equal_medians_do_not_touch() -> None:
    equal = [literature_recorded(f"R{number}", median_os=2, **ON_DIAGNOSIS) for number in range(4)]
    marked = answer(record_of(*equal))
    texts = list(parse_svg(marked.figure.draw(marked.context)).iter(f"{SVG}text"))
    places = {(text.get("x"), text.get("y")) for text in texts if text.text in ("A", "B", "C", "D")}
    assert len(places) == 4


def test_long_source_is_shortened_in_the_legend_and_whole_in_the_caption() -> None:
    author = "A" * 250
    marked = answer(record_of(literature_recorded(first_author=author, median_os=99, **ON_DIAGNOSIS)))
    texts = [str(text.text) for text in parse_svg(marked.figure.draw(marked.context)).iter(f"{SVG}text")]
    assert max(map(len, texts)) <= MAX_LEGEND_CHARACTERS
    assert any(text.endswith("… (beyond the axis)") for text in texts)
    assert author in marked.figure.caption(marked.context)


def test_picture_of_many_publications_says_how_many_it_leaves_out() -> None:
    many = [literature_recorded(f"R{number}", median_os=2, **ON_DIAGNOSIS) for number in range(MAX_MARKS + 3)]
    marked = answer(record_of(*many))
    texts = [text.text for text in parse_svg(marked.figure.draw(marked.context)).iter(f"{SVG}text")]
    assert "and 3 more, which the page of the literature lists" in texts
    literature = marked.to_json()["literature"]
    assert isinstance(literature, list)
    assert len(literature) == MAX_MARKS + 3


def test_figure_of_nobody_is_marked_too() -> None:
    nobody = OverallSurvival.compute(
        four_cases(), selection(FOUR_CASES_CUT, sites=frozenset({"nowhere"}), origin="diagnosed")
    )
    figure_answer = FigureAnswer(figure=nobody, context=answer().context).with_literature(
        record_of(literature_recorded(median_os=0.5, **ON_DIAGNOSIS))
    )
    assert "A" in [text.text for text in parse_svg(nobody.draw(figure_answer.context)).iter(f"{SVG}text")]
