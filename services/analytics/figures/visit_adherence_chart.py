"""The picture of visit adherence: a bar for the visits of each number or group, in the share of the expected ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.analytics.charts.axes import LinearScale
from services.analytics.charts.svg import Element, document, element, secondary_text, text
from services.analytics.charts.theme import ACCENT, GROUND, RULE, SECOND

_WIDTH, _RIGHT = 640, 520
_TOP, _ROW_HEIGHT, _BAR_HEIGHT = 58, 26, 14
_LEAST_LABEL_WIDTH, _CHARACTER_WIDTH = 90, 7.6  # of a wide font, so that labels end before the bars


@dataclass(frozen=True, slots=True)
class AdherenceBar:
    """The expected visits of a number or a group. Each is done, done late or not reported."""

    label: str
    done: int
    done_late: int
    not_reported: int

    @property
    def expected(self) -> int:
        return self.done + self.done_late + self.not_reported


def draw_adherence(name: str, title: str, caption: str, bars: Sequence[AdherenceBar]) -> str:
    """Returns the picture as SVG text."""
    body = [*_legend(), *_rows(bars)] if bars else [secondary_text(0, 16, "No visit was expected", font_size=14)]
    height = _TOP + _ROW_HEIGHT * len(bars) if bars else 28
    return document(name, title, caption, (_WIDTH, height), body)


def _legend() -> Iterator[Element]:
    frame = {"stroke": RULE, "class_": "ground stroke-rule"}
    yield element("rect", x=1, y=2, width=14, height=14, rx=3, fill=ACCENT, class_="accent")
    yield secondary_text(20, 14, "In the window")
    yield element("rect", x=131, y=2, width=14, height=14, rx=3, fill=SECOND, class_="second")
    yield secondary_text(150, 14, "After the window")
    yield element("rect", x=281, y=2, width=14, height=14, rx=3, fill=GROUND, **frame)
    yield secondary_text(300, 14, "Not reported")
    yield secondary_text(_WIDTH, 40, "Reported / expected", "end")


def _rows(bars: Sequence[AdherenceBar]) -> Iterator[Element]:
    left = max(_LEAST_LABEL_WIDTH, max(len(bar.label) for bar in bars) * _CHARACTER_WIDTH + 14)
    for index, bar in enumerate(bars):
        base = _TOP + 4 + index * _ROW_HEIGHT
        yield text(0, base, bar.label)
        yield from _bar(bar, left, base - 11)
        yield text(_WIDTH, base, f"{bar.done + bar.done_late} / {bar.expected}", "end", font_weight=600)


def _bar(bar: AdherenceBar, left: float, top: float) -> Iterator[Element]:
    scale = LinearScale(start=0, end=bar.expected, start_at=left, end_at=_RIGHT)
    yield element("rect", x=left, y=top, width=_RIGHT - left, height=_BAR_HEIGHT, rx=3, fill=GROUND, class_="ground")
    reported = bar.done + bar.done_late
    for start, end, color, name in ((0, bar.done, ACCENT, "accent"), (bar.done, reported, SECOND, "second")):
        if end > start:
            width = scale.at(end) - scale.at(start)
            yield element("rect", x=scale.at(start), y=top, width=width, height=_BAR_HEIGHT, fill=color, class_=name)
