"""Every figure: its drawing and its caption."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.svg import parse_svg
from tests.unit.analytics.figures.example_answers import (
    EXAMPLE_ANSWERS,
    caption_of,
    context_of,
    flow,
    registry_answers,
    render_svg,
)

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("figure", [*EXAMPLE_ANSWERS, *registry_answers()])
def test_every_figure_is_a_labeled_standalone_svg(figure: dict[str, Any]) -> None:
    picture = render_svg(figure)
    root = parse_svg(picture)
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert (root.tag, root.attrib["role"]) == (f"{SVG}svg", "img")
    assert root.attrib["aria-labelledby"].split() == ids == [f"{figure['figure']}-title", f"{figure['figure']}-desc"]
    assert root.findtext(f"{SVG}desc") == caption_of(figure)
    assert not re.search(r"\bstyle=|<style|<script|href=|url\(|\bnan\b|\binf\b", picture)


@pytest.mark.parametrize("figure", [*EXAMPLE_ANSWERS, *registry_answers()])
def test_figure_rendering_is_deterministic_and_within_its_frame(figure: dict[str, Any]) -> None:
    assert render_svg(figure) == render_svg(figure)
    root = parse_svg(render_svg(figure))
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.attrib["x"]) <= width
        assert 0 < float(element.attrib["y"]) <= height


@pytest.mark.parametrize("figure", EXAMPLE_ANSWERS)
def test_caption_states_cut_off_position_imputed_dates_and_exclusions(figure: dict[str, Any]) -> None:
    caption = caption_of(figure)
    provenance = r"Data cut-off 2025-01-31, position 412(, by site)?; 3 imputed dates, 1 participant excluded"
    assert re.search(rf"{provenance} \(voided, or without consent to the use of data\)\.$", caption)
    everybody = caption_of({**figure, "left_out": 0})
    assert everybody.endswith("; 3 imputed dates, 0 participants excluded.")


def test_caption_shows_site_ids_unchanged() -> None:
    limited = flow(parameters={"site": "all", "followed_at": "S_1", "subset": "all", "by": None}, imputed_dates=0)
    assert context_of(limited).filters.active() == {"site": "all", "followed_at": "S_1"}
    assert "position 412, followed at S_1, site all; 0 imputed" in caption_of(limited)
