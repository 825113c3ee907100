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
    written = svg.svg_number(value)
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", written)
    assert written != "-0"
    assert float(written) == pytest.approx(value, abs=0.00501)
