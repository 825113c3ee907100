"""Shares of participants: their numbers, their words, and their picture."""

from __future__ import annotations

import pytest

from services.analytics.figures.share_chart import MOST_LABELED_GROUPS, ShareRow, ShareSection, draw_shares
from services.analytics.figures.shares import Share
from tests.svg import parse_svg
from tests.unit.analytics.figures.example_answers import SVG
from tests.unit.analytics.statistics.reference_tables import assert_equal, table


def texts_of(picture: str) -> list[str]:
    return [element.text or "" for element in parse_svg(picture).iter(f"{SVG}text")]


def draw(group_count: int) -> str:
    shares = tuple(Share.of_counts(index % 4, 4) for index in range(group_count))
    section = ShareSection("Sex", ("a line",), (ShareRow("Female", shares),))
    return draw_shares("shares", "Shares", "A caption.", [f"site-{index}" for index in range(group_count)], [section])


def test_limits_are_those_of_binom_test_in_r() -> None:
    for row in table("binomial")[""]:
        share = Share.of_counts(int(row["x"]), int(row["n"]))
        assert share.estimate == row["x"] / row["n"]
        assert share.lower is not None
        assert share.upper is not None
        assert_equal([share.lower, share.upper], [row["lower"], row["upper"]])


def test_share_is_printed_with_one_decimal_and_that_of_nobody_is_not_defined() -> None:
    assert Share.of_counts(4, 31).in_words() == "4 / 31 = 12.9 % (95 % CI 3.6–29.8)"
    assert Share.of_counts(4, 31).cells() == ["4", "31", "12.9", "3.6", "29.8"]
    nobody = Share.of_counts(0, 0)
    assert (nobody.estimate, nobody.lower, nobody.upper) == (None, None, None)
    assert nobody.in_words() == "not defined (no participants)"
    assert nobody.cells() == ["0", "0", "", "", ""]


def test_more_participants_than_all_are_refused() -> None:
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        Share.of_counts(5, 4)


@pytest.mark.parametrize("group_count", [1, 2, MOST_LABELED_GROUPS])
def test_few_groups_have_numbers_beside_each_point(group_count: int) -> None:
    picture = draw(group_count)
    assert texts_of(picture).count("1 / 4") == min(group_count - 1, 1)
    assert ("site-0" in texts_of(picture)) is (group_count > 1)
    assert "stroke-width" in picture


def test_many_groups_have_a_point_each_without_numbers() -> None:
    words = texts_of(draw(30))
    assert not any("/ 4" in text for text in words)
    assert "Each point is one of 30 groups; the table names them" in words
    assert draw(30).count("<circle") == 31


def test_long_label_ends_before_the_axis_and_an_empty_table_says_so() -> None:
    row = ShareRow("an unusually long value of a characteristic", (Share.of_counts(1, 2),))
    picture = draw_shares("shares", "Shares", "A caption.", ["all"], [ShareSection("Title", rows=(row,))])
    (label,) = [text for text in texts_of(picture) if text.startswith("an unusually")]
    assert label.endswith("…")
    assert "Nobody is counted yet" in draw_shares("shares", "Shares", "A caption.", ["all"], [])
