"""The swim lane of a participant: episodes as bars and single facts as marks, on one axis of calendar days. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.analytics.charts.axes import DateScale
from services.analytics.charts.svg import (
    HALO,
    AttributeValue,
    Element,
    document,
    element,
    grid_line,
    group,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, INK, MUTED, TINT
from services.analytics.charts.time_axis import axis_labels
from services.analytics.cohort.episodes import LASTING_ENDS
from services.analytics.timeline.answers import TimelineAnswer, TimelineEntry
from services.analytics.timeline.marks import mark, shape
from services.analytics.wording.phrasing import count_noun
from shared.contracts.follow_up import FollowUpResumed

TITLE = "Timeline"

_WIDTH, _LEFT, _RIGHT, _TOP = 960, 148, 944, 34
_ROW_HEIGHT, _LANE_PAD, _BAR = 23, 9, 13
_CHARACTER_WIDTH, _GAP, _RADIUS = 6.4, 6.0, 6.0
_MERGE_DISTANCE = 7.0  # marks of one shape that are nearer become one mark
_MAX_LABELED_ROWS, _MAX_ROWS = 5, 9  # rows of a lane with labels, and at all
_MAX_TICKS = 11
_MAX_LABEL_PARTS = 3
_END_TYPES = {fact_type.type_name for fact_type in LASTING_ENDS} | {FollowUpResumed.type_name}
"""Facts without a mark of their own: the end of a bar shows them."""


@dataclass(frozen=True, slots=True)
class LaneItem:
    """A bar or a mark from `x1` to `x2`, with the entries that it shows, and the possible spans of partial dates."""

    entries: tuple[TimelineEntry, ...]
    x1: float
    x2: float
    possible_spans: tuple[tuple[float, float], ...] = ()
    side: str = "right"

    @property
    def shape(self) -> str:
        return shape(self.entries[0])

    @property
    def label(self) -> str:
        texts = list(dict.fromkeys(_entry_label(entry) for entry in self.entries if _entry_label(entry)))
        omitted = len(texts) - _MAX_LABEL_PARTS
        return ", ".join(texts[:_MAX_LABEL_PARTS]) + (f" + {omitted}" if omitted > 0 else "")

    @property
    def extent(self) -> tuple[float, float]:
        """The left and right ends of the space that the item needs in its row, label included."""
        label_width = len(self.label) * _CHARACTER_WIDTH + _GAP if self.label and self.side != "none" else 0.0
        left = label_width if self.side == "left" else 0.0
        right = label_width if self.side == "right" else 0.0
        mark_radius = 0.0 if self.shape == "bar" else _RADIUS
        return self.x1 - mark_radius - left, self.x2 + mark_radius + right


def draw(timeline: TimelineAnswer) -> str:
    """Returns the swim lane as SVG text."""
    scale = _scale(timeline)
    body, base = list[Element](), float(_TOP)
    for lane in timeline.lanes:
        rows = _layout_rows(_lane_items(timeline, lane.lane, scale))
        body += [grid_line(0, base, _WIDTH, base), text(0, base + _LANE_PAD + 13, lane.title, font_weight=600)]
        for row_index, row in enumerate(rows):
            middle = base + _LANE_PAD + _ROW_HEIGHT * (row_index + 0.5)
            body += [_draw_item(item, middle) for item in row]
        base += _LANE_PAD * 2 + _ROW_HEIGHT * max(len(rows), 1)
    frame = [*_axis(scale, base), *_death_lines(timeline, scale, base)]
    return document(
        "timeline", f"{TITLE} of {timeline.participant_id}", caption(timeline), (_WIDTH, base + 30), frame + body
    )


def caption(timeline: TimelineAnswer) -> str:
    """Returns counts of facts, partial dates and corrected facts, the legend, and the position."""
    entries = timeline.entries
    parts = [
        f"{count_noun(len(entries), 'fact')} up to {timeline.today}",
        count_noun(timeline.imputed_dates, "partial date"),
        count_noun(sum(entry.corrected for entry in entries), "corrected fact"),
    ]
    return " ".join([f"{', '.join(parts)}.", *_legend_sentences(entries), f"Position {timeline.position}."])


def _legend_sentences(entries: Sequence[TimelineEntry]) -> Iterator[str]:
    """Yields sentences for marks that carry no label."""
    if any(entry.ongoing for entry in entries):
        yield "A dashed bar has no recorded end."
    if any(entry.imputed and not entry.lasts for entry in entries):
        yield "A line through a mark covers the days that a partial date can mean."
    if any(shape(entry) == "grade" for entry in entries):
        yield "A ring shows the worst grade of an assessment; ? means that no grade is recorded."


def _scale(timeline: TimelineAnswer) -> DateScale:
    """Returns a scale of all days of the timeline, with a little room on both sides."""
    days = [entry.from_ for entry in timeline.entries if entry.from_]
    end = timeline.ends_on
    start = min(days, default=end)
    room = timedelta(days=max(2, (end - start).days // 50))
    return DateScale(start=start - room, end=end + room, left=_LEFT, right=_RIGHT)


def _lane_items(timeline: TimelineAnswer, lane: str, scale: DateScale) -> list[LaneItem]:
    """Returns the bars and marks of a lane; marks of one shape that would overlap are one item."""
    items = list[LaneItem]()
    for entry in (
        lane_entry for lane_entry in timeline.entries if lane_entry.lane == lane and lane_entry.type not in _END_TYPES
    ):
        item = _lane_item(entry, timeline, scale)
        previous = items[-1] if items else None
        if previous and previous.shape == item.shape != "bar" and item.x1 - previous.x1 < _MERGE_DISTANCE:
            items[-1] = replace(
                previous,
                entries=(*previous.entries, entry),
                possible_spans=(*previous.possible_spans, *item.possible_spans),
            )
        else:
            items.append(item)
    return items


def _lane_item(entry: TimelineEntry, timeline: TimelineAnswer, scale: DateScale) -> LaneItem:
    """Returns the bar or mark of an entry; an undated one is placed at the end."""
    span = (scale.at(entry.from_), scale.at(entry.until)) if entry.from_ and entry.until else None
    if span and entry.lasts:
        return LaneItem((entry,), span[0], max(span[1], span[0] + 4))
    x = scale.at(entry.day or timeline.ends_on)
    return LaneItem((entry,), x, x, (span,) if span and entry.imputed else ())


def _entry_label(entry: TimelineEntry) -> str:
    if entry.lane == "toxicity" and not entry.lasts:
        return ""  # the mark contains its grade
    return entry.label if entry.day else f"{entry.label}, date unknown"


def _layout_rows(items: Sequence[LaneItem]) -> list[list[LaneItem]]:
    """Puts each item in the first row with room for it, bars first. An item without room for its label gets none."""
    rows = list[list[LaneItem]]()
    for item in sorted(items, key=lambda lane_item: lane_item.shape != "bar"):
        candidates = [replace(item, side=side) for side in ("inside", "right", "left") if _fits(item, side)]
        placed = next(
            (
                candidate
                for candidate in candidates
                if _place_in_row(rows, candidate, _MAX_ROWS if candidate.side == "inside" else _MAX_LABELED_ROWS)
            ),
            None,
        )
        if placed is None and not _place_in_row(rows, unlabeled := replace(item, side="none"), _MAX_ROWS):
            rows[-1].append(unlabeled)
    return rows


def _fits(item: LaneItem, side: str) -> bool:
    label_width = len(item.label) * _CHARACTER_WIDTH + _GAP
    match side:
        case "inside":
            return not item.label or (item.shape == "bar" and item.x2 - item.x1 > label_width + _GAP)
        case "right":
            return item.x2 + _RADIUS + label_width <= _WIDTH
    return item.x1 - _RADIUS - label_width >= _LEFT


def _place_in_row(rows: list[list[LaneItem]], item: LaneItem, max_rows: int) -> bool:
    left, right = item.extent
    for row in rows:
        if all(right + _GAP < other.extent[0] or other.extent[1] + _GAP < left for other in row):
            row.append(item)
            return True
    if len(rows) >= max_rows:
        return False
    rows.append([item])
    return True


def _draw_item(item: LaneItem, middle: float) -> Element:
    tooltip = "\n".join(_tooltip_sentence(entry) for entry in item.entries)
    shapes = _bar(item, middle) if item.shape == "bar" else mark(item.entries, item.x1, middle)
    spans = [span for span in item.possible_spans if span[1] > span[0]]
    span_lines = [
        line(f"M{svg_number(a)} {svg_number(middle)}H{svg_number(b)}", stroke=MUTED, class_="stroke-muted")
        for a, b in spans
    ]
    return group(
        element("title", tooltip),
        *span_lines,
        *_draw_outer_label(item, middle),
        *shapes,
        *_draw_inner_label(item, middle),
    )


def _tooltip_sentence(entry: TimelineEntry) -> str:
    end = " (no end recorded)" if entry.ongoing else ""
    date_text = f"{entry.on} – {entry.until}" if entry.lasts and not entry.ongoing else entry.on
    return f"{date_text or 'Date unknown'}: {entry.title}{end}"


def _bar(item: LaneItem, middle: float) -> Iterator[Element]:
    style: dict[str, AttributeValue] = {"fill": TINT, "stroke": ACCENT, "class_": "tint stroke-accent", "rx": 3}
    if item.entries[0].ongoing:
        style |= {"stroke_dasharray": "4 3", "fill_opacity": 0.45}
    yield element("rect", x=item.x1, y=middle - _BAR / 2 - 2, width=item.x2 - item.x1, height=_BAR + 4, **style)


def _draw_outer_label(item: LaneItem, middle: float) -> Iterator[Element]:
    offset = _GAP if item.shape == "bar" else _GAP + 3
    if item.label and item.side == "right":
        yield text(item.x2 + offset, middle + 4, item.label, "start", font_size=12, **HALO)
    elif item.label and item.side == "left":
        yield text(item.x1 - offset, middle + 4, item.label, "end", font_size=12, **HALO)


def _draw_inner_label(item: LaneItem, middle: float) -> Iterator[Element]:
    if item.label and item.side == "inside":
        yield text(item.x1 + _GAP, middle + 4, item.label, font_size=12)


def _axis(scale: DateScale, bottom: float) -> Iterator[Element]:
    for day, label in axis_labels(scale.start, scale.end, _MAX_TICKS):
        x = scale.at(day)
        yield grid_line(x, _TOP - 6, x, bottom)
        if x <= _WIDTH - 26:
            yield secondary_text(x, _TOP - 14, label, "middle")
            yield secondary_text(x, bottom + 20, label, "middle")
    yield line(f"M{_LEFT} {svg_number(bottom)}H{_WIDTH}", stroke=MUTED, class_="stroke-muted")


def _death_lines(timeline: TimelineAnswer, scale: DateScale, bottom: float) -> Iterator[Element]:
    """Draws a vertical line through all lanes on the day of death."""
    for entry in timeline.entries:
        if entry.type == "participant.died" and entry.day:
            x = svg_number(scale.at(entry.day))
            yield line(f"M{x} {_TOP}V{svg_number(bottom)}", stroke=INK, stroke_dasharray="2 3")
