"""A small writer of SVG.

Presentation attributes have the printed look, so that a downloaded picture is complete; class names let the page's
style sheet restyle it (dark mode). There is no style attribute and no handler: a strict content security policy holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

from services.analytics.charts.theme import FONT, INK, MUTED, RULE

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORBIDDEN = re.compile(r"style|on.*", re.IGNORECASE)

AttributeValue = str | float
TextAnchor = Literal["start", "middle", "end"]

HALO: dict[str, AttributeValue] = {
    "class_": "ink halo",
    "stroke": "#fff",
    "stroke_width": 4,
    "stroke_linejoin": "round",
    "paint_order": "stroke",
}
"""Attributes of a text that may overlap a line of the picture."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a picture. Texts among its children are escaped when it is written."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Element | str, ...]

    def __str__(self) -> str:
        attributes = "".join(f' {name}="{_escape(value)}"' for name, value in self.attributes)
        inside = "".join(str(child) if isinstance(child, Element) else _escape(child) for child in self.children)
        return f"<{self.name}{attributes}>{inside}</{self.name}>" if inside else f"<{self.name}{attributes}/>"


def element(name: str, *children: Element | str, **attributes: AttributeValue) -> Element:
    """Returns an element; `font_size` is written as `font-size`, `class_` as `class`.

    Raises ValueError for `style` and `on…` attributes.
    """
    xml_attributes = {attribute.rstrip("_").replace("_", "-"): value for attribute, value in attributes.items()}
    if forbidden := [attribute for attribute in xml_attributes if _FORBIDDEN.fullmatch(attribute)]:
        raise ValueError(f"not in a picture: {', '.join(forbidden)}")
    return Element(name, tuple((attribute, svg_number(value)) for attribute, value in xml_attributes.items()), children)


def document(name: str, title: str, description: str, size: tuple[float, float], body: Iterable[Element]) -> str:
    """Returns a whole picture as text; `size` is its width and height in user units.

    `name` makes its ids unique among the pictures of a page.
    """
    width, height = size
    root = element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {svg_number(width)} {svg_number(height)}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="picture",
        font_family=FONT,
        font_size=13,
        fill=INK,
    )
    return str(root)


def group(*children: Element, **attributes: AttributeValue) -> Element:
    return element("g", *children, **attributes)


def text(x: float, y: float, content: str, anchor: TextAnchor = "start", **attributes: AttributeValue) -> Element:
    """Returns a line of text on the base line `y`."""
    defaults: dict[str, AttributeValue] = {"x": x, "y": y, "class_": "ink"}
    if anchor != "start":
        defaults["text_anchor"] = anchor
    return element("text", content, **{**defaults, **attributes})


def secondary_text(
    x: float, y: float, content: str, anchor: TextAnchor = "start", **attributes: AttributeValue
) -> Element:
    """Returns a smaller text in a muted color: labels and explanations."""
    return text(x, y, content, anchor, **{"class_": "muted", "fill": MUTED, "font_size": 12, **attributes})


def line(*steps: str, **attributes: AttributeValue) -> Element:
    """Returns an open path without a filling."""
    return element("path", d="".join(steps), **{"fill": "none", "stroke": INK, "class_": "stroke-ink", **attributes})


def grid_line(x1: float, y1: float, x2: float, y2: float) -> Element:
    """Returns a straight line in the color of rules."""
    return line(
        f"M{svg_number(x1)} {svg_number(y1)}L{svg_number(x2)} {svg_number(y2)}", stroke=RULE, class_="stroke-rule"
    )


def step_path(points: Sequence[tuple[float, float]], until: float) -> str:
    """Returns a path that stays level from each point to the x of the next, steps to its y, and ends at x = `until`."""
    return corner_path([*points, (until, points[-1][1])])


def corner_path(corners: Sequence[tuple[float, float]]) -> str:
    """Returns a path that goes from each corner first to the x and then to the y of the next.

    Its steps are relative, which takes a third fewer characters. They are differences of rounded coordinates, so that
    their errors do not add up.
    """
    places = [(round(x, 2), round(y, 2)) for x, y in corners]
    steps = [_step("h", x - before_x) + _step("v", y - before_y) for (before_x, before_y), (x, y) in pairwise(places)]
    return f"M{svg_number(places[0][0])} {svg_number(places[0][1])}{''.join(steps)}"


def _step(direction: str, pixels: float) -> str:
    number = svg_number(pixels)
    return "" if number == "0" else f"{direction}{number}"


def svg_number(value: AttributeValue) -> str:
    """Writes a number with at most two decimals and no trailing zeros: small files, and the same bytes each time."""
    if isinstance(value, str):
        return value
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # + 0.0: never "-0"


def _escape(content: str) -> str:
    return escape(_NOT_XML.sub("", content))
