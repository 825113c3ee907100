"""SVG elements: texts, attributes and numbers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.charts import svg
from tests.svg import parse_svg

SVG = "{http://www.w3.org/2000/svg}"


@given(st.text())
def test_svg_text_round_trips_except_characters_forbidden_in_xml(text: str) -> None:
    picture = svg.document("p", text, "", (1, 1), [svg.text(0, 0, text)])
    read = parse_svg(picture.replace("\r", "&#13;"))
    assert (read.findtext(f"{SVG}text") or "") == re.sub(
        r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text
    )


@pytest.mark.parametrize("attribute", ["style", "onclick", "onload", "STYLE"])
def test_svg_elements_reject_style_and_event_handlers(attribute: str) -> None:
    with pytest.raises(ValueError, match="not in a picture"):
        svg.element("g", **{attribute: "x"})


@given(st.floats(-1e6, 1e6))
def test_svg_numbers_are_rounded_to_two_decimals(value: float) -> None:
    text = svg.svg_number(value)
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", text)
    assert text != "-0"
    assert float(text) == pytest.approx(value, abs=0.00501)


def follow(path: str) -> list[tuple[float, float]]:
    """Returns the places after each step of a path of level and upright steps."""
    x, y = map(float, path.partition("M")[2].partition("h")[0].partition("v")[0].split())
    places = [(x, y)]
    for direction, number in re.findall(r"([hv])(-?[\d.]+)", path):
        x, y = (x + float(number), y) if direction == "h" else (x, y + float(number))
        places.append((x, y))
    return places


@given(st.lists(st.tuples(st.floats(0, 640), st.floats(0, 400)), min_size=1, max_size=60), st.floats(0, 640))
def test_path_of_steps_passes_through_every_corner(points: list[tuple[float, float]], until: float) -> None:
    places = follow(svg.step_path(points, until))
    for corner in [*points, (until, points[-1][1])]:
        assert any(passed == pytest.approx(corner, abs=0.006) for passed in places)
