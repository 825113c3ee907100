"""Treatments: what was prescribed to whom, by the way it was delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from services.analytics.charts.svg import (
    ACCENT,
    AttributeValue,
    Element,
    document,
    element,
    grid_line,
    secondary_text,
    text,
    tick_values,
)
from services.analytics.figures import (
    FigureData,
    FigureTable,
    Headline,
    count_noun,
    format_number,
    format_share,
    humanize,
    provenance,
)

TITLE = "Treatments"
DELIVERY_ORDER = ("conventional", "hypofractionated", "FSRT", "SBRT", "SRS", "brachytherapy")

COLUMN_HEADINGS = {
    "participant_id": "Participant",
    "site_id": "Site",
    "course_id": "Course",
    "target_id": "Target",
    "index": "Index course",
    "intent": "Intent",
    "label": "Label",
    "modality": "Modality",
    "technique": "Technique",
    "delivery": "Delivery",
    "fractions": "Fractions",
    "dose_per_fraction_gy": "Dose per fraction (Gy)",
    "total_dose_gy": "Total dose (Gy)",
    "bed_10": "BED, α/β 10 (Gy)",
    "eqd2_10": "EQD2, α/β 10 (Gy)",
    "bed_3": "BED, α/β 3 (Gy)",
    "eqd2_3": "EQD2, α/β 3 (Gy)",
    "bed_2": "BED, α/β 2 (Gy)",
    "eqd2_2": "EQD2, α/β 2 (Gy)",
    "fractions_delivered": "Fractions delivered",
    "dose_delivered_gy": "Dose delivered (Gy)",
    "started_on": "Start",
    "ended_on": "End",
    "boost_of": "Boost of",
    "prescription_isodose_percent": "Prescription isodose (%)",
}
"""The columns of the table, by the names that programs read, as people read them."""

_WIDTH, _LEFT, _RIGHT, _TOP, _LANE_HEIGHT = 640, 124, 420, 46, 44
_DOT_RADIUS, _DOT_DISTANCE = 4.0, 9.0
_MAX_DOTS = 15  # dots; beyond it all lanes are drawn as columns on one scale
_FRACTION_X, _TARGETS_X = 492, 556

Stacks = dict[float, Counter[bool]]


def draw(figure: FigureData) -> str:
    """A lane for every delivery with a dot for every target at its total dose, and the counts beside it."""
    highest = max((float(target["total_dose_gy"]) for target in figure["targets"]), default=60)
    doses = tick_values(highest, 6)
    stacks = {delivery: _stacks(figure, delivery, doses[-1]) for delivery in _ordered_deliveries(figure)}
    tallest = max((_height(stack) for stack in stacks.values()), default=0)
    unit = _DOT_DISTANCE if tallest <= _MAX_DOTS else _DOT_DISTANCE * _MAX_DOTS / tallest
    body, base = list[Element](), float(_TOP)
    for delivery, stack in stacks.items():
        base += max(_LANE_HEIGHT, _height(stack) * unit + 14)
        body += [*_lane(figure, delivery, base), *_dots(stack, base, unit)]
    if not stacks:
        base += _LANE_HEIGHT
        body.append(
            secondary_text((_LEFT + _RIGHT) / 2, _TOP + 30, "No participant is treated yet", "middle", font_size=14)
        )
    legend = _legend(base + 52, tallest if unit < _DOT_DISTANCE else 0)
    axis = _axis(doses, base) if stacks else ()
    return document("treatments", TITLE, caption(figure), (_WIDTH, base + 62), [*axis, *body, *legend])


def caption(figure: FigureData) -> str:
    """Targets and participants in all, and of them by delivery as n / N with the exact interval."""
    treated = _count_participants(figure)
    counts = {row["delivery"]: row for row in figure["deliveries"]}
    parts = [
        f"{_delivery_name(delivery)}: {count_noun(counts[delivery]['targets'], 'target')} in "
        f"{format_share(counts[delivery]['participants'], treated)} of the treated participants"
        for delivery in _ordered_deliveries(figure)
    ]
    total = f"{count_noun(len(figure['targets']), 'target')} in {count_noun(treated, 'treated participant')}."
    explanation = (
        "A participant can have several targets. Each dose level of an integrated boost counts as a target; "
        "the doses are not added."
    )
    return " ".join([total, *(f"{part}." for part in parts), explanation, provenance(figure)])


def table(figure: FigureData) -> FigureTable:
    """Header, and a row for every target with the coded values as they are recorded; doses in Gy."""
    return list(COLUMN_HEADINGS), [
        [_cell(target.get(name)) for name in COLUMN_HEADINGS] for target in figure["targets"]
    ]


def headline(figure: FigureData) -> Headline:
    """The numbers that are read first: (name, value, words)."""
    counts = {
        "targets": (len(figure["targets"]), "target"),
        "treated": (_count_participants(figure), "treated participant"),
    }
    parts = ((name, count_noun(count, noun).partition(" ")) for name, (count, noun) in counts.items())
    return [(name, number, words) for name, (number, _, words) in parts]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_number(value) if isinstance(value, float) else "" if value is None else str(value)


def _count_participants(figure: FigureData) -> int:
    return len({target["participant_id"] for target in figure["targets"]})


def _ordered_deliveries(figure: FigureData) -> list[str]:
    """The deliveries that occur, in the order in which people read them, others after them by name."""
    order = {name: rank for rank, name in enumerate(DELIVERY_ORDER)}
    present = [row["delivery"] for row in figure["deliveries"] if row["targets"]]
    return sorted(present, key=lambda name: (order.get(name, len(order)), name))


def _delivery_name(delivery: str) -> str:
    label = humanize(delivery)
    return label[:1].upper() + label[1:]


def _x(dose: float, highest: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * dose / highest


def _axis(doses: list[float], bottom: float) -> Iterator[Element]:
    for dose in doses:
        x = _x(dose, doses[-1])
        yield grid_line(x, _TOP - 8, x, bottom)
        yield secondary_text(x, bottom + 18, format_number(dose), "middle")
    yield secondary_text(_LEFT, _TOP - 28, "Total dose, Gy")
    for x, label in ((_FRACTION_X, "Gy per fraction"), (_TARGETS_X, "Targets"), (_WIDTH, "Participants")):
        yield secondary_text(x, _TOP - 28, label, "end")


def _lane(figure: FigureData, delivery: str, base: float) -> Iterator[Element]:
    counts = next(row for row in figure["deliveries"] if row["delivery"] == delivery)
    doses = [Decimal(str(t["dose_per_fraction_gy"])) for t in figure["targets"] if t["delivery"] == delivery]
    yield grid_line(0, base, _WIDTH, base)
    yield text(0, base - 15, _delivery_name(delivery))
    yield secondary_text(_FRACTION_X, base - 15, _format_range(doses), "end", font_size=13)
    yield text(_TARGETS_X, base - 15, str(counts["targets"]), "end", font_weight=600)
    yield text(_WIDTH, base - 15, str(counts["participants"]), "end", font_weight=600)


def _stacks(figure: FigureData, delivery: str, highest: float) -> Stacks:
    """How many targets of the index course and of others lie in each column, one dot wide, of the dose axis."""
    stacks: Stacks = {}
    for target in figure["targets"]:
        if target["delivery"] == delivery:
            x = round(_x(float(target["total_dose_gy"]), highest) / _DOT_DISTANCE) * _DOT_DISTANCE
            stacks.setdefault(x, Counter())[bool(target["index"])] += 1
    return stacks


def _height(stacks: Stacks) -> int:
    return max((stack.total() for stack in stacks.values()), default=0)


def _dots(stacks: Stacks, base: float, unit: float) -> Iterator[Element]:
    """Targets stacked on the lane's base line, those of the index course lowest."""
    for x, stack in sorted(stacks.items()):
        yield from _stack(x, base - 2, stack[True], unit, index=True)
        yield from _stack(x, base - 2 - stack[True] * unit, stack[False], unit, index=False)


def _stack(x: float, low: float, count: int, unit: float, *, index: bool) -> Iterator[Element]:
    """A dot for every target, or one column where there are more than dots have room for."""
    style: dict[str, AttributeValue] = {
        "fill": ACCENT if index else "none",
        "stroke": ACCENT,
        "class_": _dot_class(index),
    }
    if unit == _DOT_DISTANCE:
        for dot_number in range(count):
            y = low - (dot_number + 0.5) * unit
            yield element("circle", cx=x, cy=y, r=_DOT_RADIUS - 0.5, stroke_width=1.5, **style)
    elif count:
        yield element(
            "rect", x=x - _DOT_RADIUS + 1, y=low - count * unit, width=2 * _DOT_RADIUS - 2, height=count * unit, **style
        )


def _dot_class(index: bool) -> str:
    return "accent stroke-accent" if index else "hollow stroke-accent"


def _format_range(doses: list[Decimal]) -> str:
    if not doses:
        return "–"
    low, high = format_number(min(doses)), format_number(max(doses))
    return low if low == high else f"{low}–{high}"


def _legend(base: float, tallest: int) -> Iterator[Element]:
    for x, index, label in ((0, True, "Target of the index course"), (190, False, "Target of another course")):
        yield from _stack(x + 4, base + 1, 1, _DOT_DISTANCE, index=index)
        yield secondary_text(x + 14, base, label)
    if tallest:
        yield secondary_text(_WIDTH, base, f"Tallest column: {count_noun(tallest, 'target')}", "end")
