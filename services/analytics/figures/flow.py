"""The flow of participants, after CONSORT: who was screened, enrolled and treated, and where the enrolled are now."""

from __future__ import annotations

from collections.abc import Iterator

from services.analytics.charts.svg import (
    ACCENT,
    GROUND,
    MUTED,
    RULE,
    TINT,
    Element,
    document,
    element,
    group,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.cohort.participation_status import FOLLOW_UP_STATUS_LABELS
from services.analytics.figures import FigureData, FigureTable, Headline, count_noun, provenance

TITLE = "Participant flow"
_LABELS = {
    "screened": "Screened",
    "screen_failed": "Screen failed",
    "consented": "Consented",
    "enrolled": "Enrolled",
    "treated": "Treated (index course started)",
    "stereotactic": "Stereotactic radiotherapy of a metastasis",
    **FOLLOW_UP_STATUS_LABELS,
}

_WIDTH = 480
_BOX_WIDTH, _SIDE_BOX_WIDTH, _BOX_HEIGHT, _STEP_HEIGHT = 236, 176, 46, 70
_MIDDLE = 1 + _BOX_WIDTH / 2
_LANE_HEIGHT = 26


def draw(figure: FigureData) -> str:
    """The picture as SVG text."""
    top = 1 + 4 * _STEP_HEIGHT
    body = [*_main_boxes(figure), *_exits(figure), *_stereotactic(figure, top), *_status_bars(figure, top + 96)]
    height = top + 96 + 10 + _LANE_HEIGHT * len(FOLLOW_UP_STATUS_LABELS)
    return document("flow", TITLE, caption(figure), (_WIDTH, height), body)


def caption(figure: FigureData) -> str:
    """One paragraph that can be pasted: counts, n / N with the exact interval, and which state of the study it is."""
    statuses = ", ".join(f"{figure[name]} {label.lower()}" for name, label in FOLLOW_UP_STATUS_LABELS.items())
    return (
        f"Of {count_noun(figure['screened'], 'person').replace('persons', 'people')} screened, "
        f"{figure['screen_failed']} failed screening, {figure['consented']} consented and {figure['enrolled']} were "
        f"enrolled; {figure['treated']} started the index course of radiotherapy. "
        f"Stereotactic radiotherapy of a metastasis: {_stereotactic_share(figure)}. "
        f"Status of the enrolled participants: {statuses}. {provenance(figure)}"
    )


def table(figure: FigureData) -> FigureTable:
    """Header, and one row for every count; percent and interval only where they are defined."""
    low, high = figure["stereotactic_interval"] or (None, None)
    shares = {
        "stereotactic": [_format_percent(figure["stereotactic_percent"]), _format_percent(low), _format_percent(high)]
    }
    rows = [[label, str(figure[name]), *shares.get(name, ["", "", ""])] for name, label in _LABELS.items()]
    return ["Step", "Participants", "Percent of enrolled", "95 % CI lower", "95 % CI upper"], rows


def headline(figure: FigureData) -> Headline:
    """The numbers that are read first: (name, value, words)."""
    names = ("screened", "enrolled", "treated", "stereotactic")
    return [(name, str(figure[name]), name) for name in names]


def _stereotactic_share(figure: FigureData) -> str:
    if figure["stereotactic_percent"] is None:
        return "not defined, because no participant is enrolled"
    return f"{figure['stereotactic']} / {figure['enrolled']} = {_format_share(figure)}"


def _format_share(figure: FigureData) -> str:
    low, high = figure["stereotactic_interval"]
    return f"{figure['stereotactic_percent']:.1f} % (95 % CI {low:.1f}–{high:.1f})"


def _format_percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _main_boxes(figure: FigureData) -> Iterator[Element]:
    for index, name in enumerate(("screened", "consented", "enrolled", "treated")):
        top = 1 + index * _STEP_HEIGHT
        label = _LABELS[name].partition(" (")[0]
        yield _box(1, top, _BOX_WIDTH, label, figure[name])
        if index < 3:
            yield _arrow(_MIDDLE, top + _BOX_HEIGHT, top + _STEP_HEIGHT)


def _exits(figure: FigureData) -> Iterator[Element]:
    """Who leaves the main line, beside the arrow where they leave; treated and enrolled are parts of the box above."""
    exits = (
        ("Screen failed", figure["screen_failed"]),
        ("Not enrolled", figure["consented"] - figure["enrolled"]),
        ("Not treated", figure["enrolled"] - figure["treated"]),
    )
    for index, (label, count) in enumerate(exits):
        height = 1 + index * _STEP_HEIGHT + (_BOX_HEIGHT + _STEP_HEIGHT) / 2
        left = _WIDTH - 1 - _SIDE_BOX_WIDTH
        yield line(f"M{svg_number(_MIDDLE)} {svg_number(height)}H{left}", stroke=MUTED, class_="stroke-muted")
        yield _box(left, height - 15, _SIDE_BOX_WIDTH, label, count, high=30)


def _box(left: float, top: float, width: float, label: str, count: int, high: float = _BOX_HEIGHT) -> Element:
    is_main = high == _BOX_HEIGHT
    base = top + high / 2 + 5
    weight = {"font_size": 20, "font_weight": 600} if is_main else {"font_weight": 600}
    frame = element(
        "rect", x=left, y=top, width=width, height=high, rx=6, fill=GROUND, stroke=RULE, class_="ground stroke-rule"
    )
    label_text = text(left + 14, base, label) if is_main else secondary_text(left + 12, base, label, font_size=13)
    return group(frame, label_text, text(left + width - 14, base + 2 * is_main, str(count), "end", **weight))


def _arrow(x: float, top: float, bottom: float) -> Element:
    head = f"M{svg_number(x - 4)} {svg_number(bottom - 7)}l4 5l4 -5"
    return line(
        f"M{svg_number(x)} {svg_number(top)}V{svg_number(bottom - 2)}", head, stroke=MUTED, class_="stroke-muted"
    )


def _stereotactic(figure: FigureData, top: float) -> Iterator[Element]:
    """A part of the enrolled and no next step, so it hangs on a dashed line without a head."""
    defined = figure["stereotactic_percent"] is not None
    explanation = (
        f"{_format_share(figure)} of the enrolled" if defined else "percentage not defined: no participant is enrolled"
    )
    yield line(
        f"M{svg_number(_MIDDLE)} {svg_number(top - _STEP_HEIGHT + _BOX_HEIGHT)}V{svg_number(top)}",
        stroke=ACCENT,
        class_="stroke-accent",
        stroke_dasharray="3 3",
    )
    yield element(
        "rect", x=1, y=top, width=_WIDTH - 2, height=60, rx=6, fill=TINT, stroke=ACCENT, class_="tint stroke-accent"
    )
    yield text(15, top + 25, _LABELS["stereotactic"], font_weight=600)
    yield secondary_text(15, top + 45, explanation, font_size=13)
    yield text(_WIDTH - 15, top + 37, str(figure["stereotactic"]), "end", font_size=20, font_weight=600)


def _status_bars(figure: FigureData, top: float) -> Iterator[Element]:
    """Where each of the enrolled is at the cut: exactly one of the six."""
    left, right = 154, _WIDTH - 44
    yield text(
        1,
        top,
        f"Status of the {count_noun(figure['enrolled'], 'enrolled participant')} at the data cut-off",
        font_weight=600,
    )
    for index, (name, label) in enumerate(FOLLOW_UP_STATUS_LABELS.items()):
        base = top + 28 + index * _LANE_HEIGHT
        length = (right - left) * figure[name] / max(figure["enrolled"], 1)
        yield secondary_text(1, base, label, font_size=13)
        yield element("rect", x=left, y=base - 11, width=right - left, height=14, rx=3, fill=GROUND, class_="ground")
        if length:
            yield element("rect", x=left, y=base - 11, width=length, height=14, rx=3, fill=ACCENT, class_="accent")
        yield text(_WIDTH - 1, base, str(figure[name]), "end", font_weight=600)
