"""A participant's swim lane: what lasts as bars, what happens as marks, on one axis of calendar days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.analytics.figures import Figure, Table, counted, spoken
from services.analytics.figures.calendar import axis_days
from services.analytics.figures.marks import mark, shape
from services.analytics.figures.svg import (
    ACCENT,
    HALO,
    INK,
    MUTED,
    TINT,
    Element,
    Value,
    element,
    group,
    line,
    number,
    picture,
    quiet,
    rule,
    text,
)

TITLE = "Timeline"

_WIDTH, _LEFT, _RIGHT, _TOP = 960, 148, 944, 34
_ROW, _LANE_PAD, _BAR = 23, 9, 13
_LETTER, _GAP, _RADIUS = 6.4, 6.0, 6.0
_CLOSE = 7.0  # marks of one kind that are nearer are drawn as one
_LABELLED, _MOST = 5, 9  # rows of a lane with labels, and at all
_TICKS = 11
_IN_A_LABEL = 3
_ENDS = {
    "radiotherapy.completed", "radiotherapy.discontinued", "systemic_therapy.stopped",
    "toxicity.serious_event_resolved", "participant.follow_up_resumed",
}  # fmt: skip
"""Told by where a bar ends."""

Entry = Figure


@dataclass(frozen=True, slots=True)
class _Item:
    """A bar or a mark from `x1` to `x2`, with the entries that it shows; of imprecise dates, where they may be."""

    entries: tuple[Entry, ...]
    x1: float
    x2: float
    may_be: tuple[tuple[float, float], ...] = ()
    side: str = "right"

    @property
    def shape(self) -> str:
        return shape(self.entries[0])

    @property
    def label(self) -> str:
        words = list(dict.fromkeys(_label(entry) for entry in self.entries if _label(entry)))
        more = len(words) - _IN_A_LABEL
        return ", ".join(words[:_IN_A_LABEL]) + (f" + {more}" if more > 0 else "")

    @property
    def extent(self) -> tuple[float, float]:
        """From where to where the row is taken, label included."""
        long = len(self.label) * _LETTER + _GAP if self.label and self.side != "none" else 0.0
        left = long if self.side == "left" else 0.0
        right = long if self.side == "right" else 0.0
        around = 0.0 if self.shape == "bar" else _RADIUS
        return self.x1 - around - left, self.x2 + around + right


@dataclass(frozen=True, slots=True)
class _Scale:
    start: date
    end: date

    def x(self, day: date) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (day - self.start).days / max((self.end - self.start).days, 1)


def draw(figure: Figure) -> str:
    """The swim lane as SVG text."""
    scale = _scale(figure)
    body, base = list[Element](), float(_TOP)
    for lane in figure["lanes"]:
        rows = _rows(_items(figure, lane["lane"], scale))
        body += [rule(0, base, _WIDTH, base), text(0, base + _LANE_PAD + 13, lane["title"], font_weight=600)]
        for place, row in enumerate(rows):
            middle = base + _LANE_PAD + _ROW * (place + 0.5)
            body += [_drawn(item, middle) for item in row]
        base += _LANE_PAD * 2 + _ROW * max(len(rows), 1)
    frame = [*_axis(scale, base), *_lines(figure, scale, base)]
    return picture(
        "timeline", f"{TITLE} of {figure['participant_id']}", caption(figure), (_WIDTH, base + 30), frame + body
    )


def caption(figure: Figure) -> str:
    """How much is shown, what is imprecise or restated in it, and which state of the study it is."""
    entries = figure["entries"]
    parts = [
        f"{counted(len(entries), 'fact')} up to {figure['today']}",
        counted(figure["imputed_dates"], "partial date"),
        counted(sum(entry["corrected"] for entry in entries), "corrected fact"),
    ]
    return " ".join([f"{', '.join(parts)}.", *_key(entries), f"Position {figure['position']}."])


def _key(entries: Sequence[Entry]) -> Iterator[str]:
    """What is not said by a label in the drawing."""
    if any(entry["ongoing"] for entry in entries):
        yield "A dashed bar has no recorded end."
    if any(entry["imputed"] and not entry["lasts"] for entry in entries):
        yield "A line through a mark covers the days that a partial date can mean."
    if any(shape(entry) == "grade" for entry in entries):
        yield "A ring shows the worst grade of an assessment; ? means that no grade is recorded."


def table(figure: Figure) -> Table:
    """Header, and a row for every entry in clinical order."""
    return ["Date", "Lane", "What", "Details"], [
        [entry["on"] or "unknown", spoken(entry["lane"]), entry["title"], "; ".join(entry["detail"])]
        for entry in figure["entries"]
    ]


def _scale(figure: Figure) -> _Scale:
    """All days that are shown, with a little room on both sides."""
    days = [date.fromisoformat(entry["from"]) for entry in figure["entries"] if entry["from"]]
    end = date.fromisoformat(figure["ends_on"])
    start = min(days, default=end)
    room = timedelta(days=max(2, (end - start).days // 50))
    return _Scale(start - room, end + room)


def _items(figure: Figure, lane: str, scale: _Scale) -> list[_Item]:
    """Bars as they are; marks of one kind that would lie on each other as one."""
    items = list[_Item]()
    for entry in (each for each in figure["entries"] if each["lane"] == lane and each["type"] not in _ENDS):
        item = _item(entry, figure, scale)
        last = items[-1] if items else None
        if last and last.shape == item.shape != "bar" and item.x1 - last.x1 < _CLOSE:
            items[-1] = replace(last, entries=(*last.entries, entry), may_be=(*last.may_be, *item.may_be))
        else:
            items.append(item)
    return items


def _item(entry: Entry, figure: Figure, scale: _Scale) -> _Item:
    """What has no date stands at the end."""
    if entry["lasts"]:
        x1, x2 = (scale.x(date.fromisoformat(entry[name])) for name in ("from", "until"))
        return _Item((entry,), x1, max(x2, x1 + 4))
    x = scale.x(date.fromisoformat(entry["day"] or figure["ends_on"]))
    if not entry["imputed"]:
        return _Item((entry,), x, x)
    first, last = (scale.x(date.fromisoformat(entry[name])) for name in ("from", "until"))
    return _Item((entry,), x, x, ((first, last),))


def _label(entry: Entry) -> str:
    if entry["lane"] == "toxicity" and not entry["lasts"]:
        return ""  # its grade stands in the mark
    return str(entry["label"]) if entry["day"] else f"{entry['label']}, date unknown"


def _rows(items: Sequence[_Item]) -> list[list[_Item]]:
    """Each item in the first row that has room for it, bars first; a label that finds no room is left away."""
    rows = list[list[_Item]]()
    for item in sorted(items, key=lambda each: each.shape != "bar"):
        tries = [replace(item, side=side) for side in ("inside", "right", "left") if _fits_frame(item, side)]
        placed = next(
            (each for each in tries if _place(rows, each, _MOST if each.side == "inside" else _LABELLED)), None
        )
        if placed is None and not _place(rows, bare := replace(item, side="none"), _MOST):
            rows[-1].append(bare)
    return rows


def _fits_frame(item: _Item, side: str) -> bool:
    long = len(item.label) * _LETTER + _GAP
    match side:
        case "inside":
            return not item.label or (item.shape == "bar" and item.x2 - item.x1 > long + _GAP)
        case "right":
            return item.x2 + _RADIUS + long <= _WIDTH
    return item.x1 - _RADIUS - long >= _LEFT


def _place(rows: list[list[_Item]], item: _Item, most: int) -> bool:
    left, right = item.extent
    for row in rows:
        if all(right + _GAP < other.extent[0] or other.extent[1] + _GAP < left for other in row):
            row.append(item)
            return True
    if len(rows) >= most:
        return False
    rows.append([item])
    return True


def _drawn(item: _Item, middle: float) -> Element:
    said = "\n".join(_sentence(entry) for entry in item.entries)
    shapes = _bar(item, middle) if item.shape == "bar" else mark(item.entries, item.x1, middle)
    spans = [span for span in item.may_be if span[1] > span[0]]
    reach = [line(f"M{number(a)} {number(middle)}H{number(b)}", stroke=MUTED, class_="stroke-muted") for a, b in spans]
    return group(element("title", said), *reach, *_worded(item, middle), *shapes, *_inside(item, middle))


def _sentence(entry: Entry) -> str:
    end = " (no end recorded)" if entry["ongoing"] else ""
    when = f"{entry['on']} – {entry['until']}" if entry["lasts"] and not entry["ongoing"] else entry["on"]
    return f"{when or 'Date unknown'}: {entry['title']}{end}"


def _bar(item: _Item, middle: float) -> Iterator[Element]:
    look: dict[str, Value] = {"fill": TINT, "stroke": ACCENT, "class_": "tint stroke-accent", "rx": 3}
    if item.entries[0]["ongoing"]:
        look |= {"stroke_dasharray": "4 3", "fill_opacity": 0.45}
    yield element("rect", x=item.x1, y=middle - _BAR / 2 - 2, width=item.x2 - item.x1, height=_BAR + 4, **look)


def _worded(item: _Item, middle: float) -> Iterator[Element]:
    away = _GAP if item.shape == "bar" else _GAP + 3
    if item.label and item.side == "right":
        yield text(item.x2 + away, middle + 4, item.label, "start", font_size=12, **HALO)
    elif item.label and item.side == "left":
        yield text(item.x1 - away, middle + 4, item.label, "end", font_size=12, **HALO)


def _inside(item: _Item, middle: float) -> Iterator[Element]:
    if item.label and item.side == "inside":
        yield text(item.x1 + _GAP, middle + 4, item.label, font_size=12)


def _axis(scale: _Scale, bottom: float) -> Iterator[Element]:
    for day, label in axis_days(scale.start, scale.end, _TICKS):
        x = scale.x(day)
        yield rule(x, _TOP - 6, x, bottom)
        if x <= _WIDTH - 26:
            yield quiet(x, _TOP - 14, label, "middle")
            yield quiet(x, bottom + 20, label, "middle")
    yield line(f"M{_LEFT} {number(bottom)}H{_WIDTH}", stroke=MUTED, class_="stroke-muted")


def _lines(figure: Figure, scale: _Scale, bottom: float) -> Iterator[Element]:
    """Where life ended, through all lanes."""
    for entry in figure["entries"]:
        if entry["type"] == "participant.died" and entry["day"]:
            x = number(scale.x(date.fromisoformat(entry["day"])))
            yield line(f"M{x} {_TOP}V{number(bottom)}", stroke=INK, stroke_dasharray="2 3")
