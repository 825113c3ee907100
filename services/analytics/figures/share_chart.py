"""The picture of a table of proportions: a point with its interval for each, on a common axis from 0 to 100 %."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.analytics.charts.axes import LinearScale
from services.analytics.charts.svg import (
    AttributeValue,
    Element,
    document,
    element,
    grid_line,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, INK, MUTED, SECOND
from services.analytics.figures.shares import Share
from services.analytics.statistics.proportions import percent

MOST_LABELED_GROUPS = 4
"""The most groups whose points have intervals and numbers beside them; a row of more groups has the points alone."""
_WIDTH, _AXIS_RIGHT, _COUNTS_X = 640, 490, 580
_LEAST_AXIS_LEFT, _GREATEST_AXIS_LEFT, _CHARACTER_WIDTH = 130, 290, 7.4
_ROW_HEIGHT, _MARK_DISTANCE, _TITLE_HEIGHT, _LINE_HEIGHT = 22, 17, 34, 18
_TICKS = (0, 25, 50, 75, 100)
_COLORS = ((ACCENT, "accent"), (SECOND, "second"), (INK, "ink"), (MUTED, "muted"))


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A row of the picture: the share of each group, in the order of the groups."""

    label: str
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class ShareSection:
    """A part of the picture with a title, lines of text, and rows."""

    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[ShareRow, ...] = ()


@dataclass(frozen=True, slots=True)
class _Frame:
    """The axis of the picture, and how many groups a row shows."""

    scale: LinearScale
    group_count: int

    @property
    def is_labeled(self) -> bool:
        return self.group_count <= MOST_LABELED_GROUPS

    @property
    def row_height(self) -> float:
        marks = self.group_count if self.is_labeled else 1
        return _ROW_HEIGHT + (max(marks, 1) - 1) * _MARK_DISTANCE


def draw_shares(
    name: str,
    title: str,
    caption: str,
    groups: Sequence[str],
    sections: Sequence[ShareSection],
    empty_words: str = "Nobody is counted yet",
) -> str:
    """Returns the picture as SVG text. `groups`: those of each row. `empty_words`: shown if there is no section."""
    labels = [row.label for section in sections for row in section.rows]
    left = min(_GREATEST_AXIS_LEFT, max(_LEAST_AXIS_LEFT, max(map(len, labels), default=0) * _CHARACTER_WIDTH + 24))
    frame = _Frame(LinearScale(start=0, end=1, start_at=left, end_at=_AXIS_RIGHT), len(groups))
    body, base = list[Element](), 14.0
    body += _legend(groups)
    base += _LINE_HEIGHT * _legend_lines(groups)
    if labels:
        body += _axis(frame, base)
        base += 14
    if not sections:
        body.append(secondary_text(0, base, empty_words, font_size=14))
    for section in sections:
        body += _section(section, frame, base)
        base += _section_height(section, frame)
    return document(name, title, caption, (_WIDTH, base + 10), body)


def _legend_lines(groups: Sequence[str]) -> int:
    return (len(groups) if len(groups) <= MOST_LABELED_GROUPS else 1) if len(groups) > 1 else 0


def _legend(groups: Sequence[str]) -> Iterator[Element]:
    if len(groups) > MOST_LABELED_GROUPS:
        yield _point(8, 10, 0)
        yield secondary_text(20, 14, f"Each point is one of {len(groups)} groups; the table names them")
    elif len(groups) > 1:
        for index, group in enumerate(groups):
            y = 14 + index * _LINE_HEIGHT
            yield _point(8, y - 4, index)
            yield secondary_text(20, y, group)


def _axis(frame: _Frame, base: float) -> Iterator[Element]:
    for tick in _TICKS:
        x = frame.scale.at(tick / 100)
        yield secondary_text(x, base, f"{tick} %", "middle", font_size=11)


def _section_height(section: ShareSection, frame: _Frame) -> float:
    return _TITLE_HEIGHT + _LINE_HEIGHT * len(section.lines) + frame.row_height * len(section.rows)


def _section(section: ShareSection, frame: _Frame, top: float) -> Iterator[Element]:
    base = top + _TITLE_HEIGHT - 10
    yield text(0, base, section.title, font_weight=600)
    for words in section.lines:
        base += _LINE_HEIGHT
        yield secondary_text(8, base, words, font_size=13)
    first_row = base + 6
    if section.rows:
        bottom = first_row + frame.row_height * len(section.rows)
        for tick in _TICKS:
            x = frame.scale.at(tick / 100)
            yield grid_line(x, first_row, x, bottom)
    for index, row in enumerate(section.rows):
        yield from _row(row, frame, first_row + index * frame.row_height)


def _row(row: ShareRow, frame: _Frame, top: float) -> Iterator[Element]:
    yield secondary_text(8, top + 15, _shorten(row.label, frame.scale.start_at - 16), font_size=13)
    for index, share in enumerate(row.shares):
        y = top + 11 + (index * _MARK_DISTANCE if frame.is_labeled else 0)
        if share.estimate is not None:
            if frame.is_labeled:
                yield _interval(frame, share, y, index)
            yield _point(frame.scale.at(share.estimate), y, index if frame.is_labeled else 0)
        if frame.is_labeled:
            yield text(_COUNTS_X, y + 4, f"{share.participants} / {share.of}", "end", font_size=12)
            yield text(_WIDTH, y + 4, _percent_words(share), "end", font_size=12)


def _interval(frame: _Frame, share: Share, y: float, index: int) -> Element:
    start, end = (svg_number(frame.scale.at(limit or 0.0)) for limit in (share.lower, share.upper))
    color, name = _COLORS[index]
    return line(f"M{start} {svg_number(y)}H{end}", stroke=color, class_=f"stroke-{name}", stroke_width=2)


def _point(x: float, y: float, index: int) -> Element:
    """Draws a point: groups differ by form as well as by color."""
    color, name = _COLORS[index]
    attributes: dict[str, AttributeValue] = {"fill": color, "class_": name}
    if index % 2:
        return element("rect", x=x - 4, y=y - 4, width=8, height=8, **attributes)
    return element("circle", cx=x, cy=y, r=4.5, **attributes)


def _percent_words(share: Share) -> str:
    return "–" if share.estimate is None else f"{percent(share.estimate):.1f} %"


def _shorten(label: str, width: float) -> str:
    """Returns a label that ends before the axis begins; the table has all of it."""
    most = int(width / _CHARACTER_WIDTH)
    return label if len(label) <= most else f"{label[: most - 1]}…"
