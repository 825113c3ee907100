"""Stacks of dots on a base line: one dot for every item at a value, or a column where there are too many for dots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from services.analytics.charts.svg import AttributeValue, Element, element
from services.analytics.charts.theme import ACCENT

DOT_DISTANCE = 9.0
_DOT_RADIUS = 4.0
_MAX_DOTS = 15

Stacks = dict[float, Counter[bool]]
"""The number of filled (True) and hollow (False) items by x coordinate."""


def snap_to_stack(x: float) -> float:
    """Returns the x coordinate of the stack that an item at `x` belongs to; stacks are one dot wide."""
    return round(x / DOT_DISTANCE) * DOT_DISTANCE


def tallest_stack(stacks: Stacks) -> int:
    """Returns the number of items in the tallest stack."""
    return max((stack.total() for stack in stacks.values()), default=0)


def unit_height(tallest: int) -> float:
    """Returns the height of one item, so that the tallest of all stacks has room: that of a dot, or less."""
    return DOT_DISTANCE if tallest <= _MAX_DOTS else DOT_DISTANCE * _MAX_DOTS / tallest


def draw_stacks(stacks: Stacks, base: float, unit: float) -> Iterator[Element]:
    """Draws every stack on the base line, its filled items lowest."""
    for x, stack in sorted(stacks.items()):
        yield from draw_stack(x, base - 2, stack[True], unit, filled=True)
        yield from draw_stack(x, base - 2 - stack[True] * unit, stack[False], unit, filled=False)


def draw_stack(x: float, low: float, count: int, unit: float, *, filled: bool) -> Iterator[Element]:
    """Draws a dot for every item, or one column where an item is lower than a dot."""
    style: dict[str, AttributeValue] = {
        "fill": ACCENT if filled else "none",
        "stroke": ACCENT,
        "class_": "accent stroke-accent" if filled else "hollow stroke-accent",
    }
    if unit == DOT_DISTANCE:
        for dot_number in range(count):
            y = low - (dot_number + 0.5) * unit
            yield element("circle", cx=x, cy=y, r=_DOT_RADIUS - 0.5, stroke_width=1.5, **style)
    elif count:
        yield element(
            "rect", x=x - _DOT_RADIUS + 1, y=low - count * unit, width=2 * _DOT_RADIUS - 2, height=count * unit, **style
        )
