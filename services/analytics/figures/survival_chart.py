"""The picture of survival after the KMunicate proposal: curves with bands, and the numbers at risk below the axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.analytics.charts.svg import Element, document, element, line, svg_number
from services.analytics.charts.theme import MUTED
from services.analytics.figures.curve_frame import (
    LEFT,
    MOST_BANDS,
    MOST_WHOLE_TABLES,
    WIDTH,
    CurveAxes,
    CurveMarks,
    LineStyle,
    NumbersByDay,
    RiskTable,
    band_path,
    censor_marks,
    curve_axes,
    draw_axes,
    draw_key,
    draw_legend,
    draw_nobody,
    draw_notes,
    draw_risk_tables,
    draw_shades,
    draw_steps,
    line_styles,
)
from services.analytics.figures.literature_chart import draw_literature
from services.analytics.figures.literature_marks import LiteratureMark
from services.analytics.figures.survival_numbers import CurveRow, RiskTableRow, SurvivalGroup


def draw_survival(
    name: str,
    title: str,
    caption: str,
    groups: Sequence[SurvivalGroup],
    axis_title: str,
    marks: CurveMarks,
    literature: Sequence[LiteratureMark] = (),
) -> str:
    """Returns the picture as SVG text. `literature`: estimates of publications, which have a legend of their own."""
    last_day = max((row.time for group in groups for row in group.curve), default=0)
    axes = curve_axes(last_day, len(groups))
    styles = line_styles(len(groups))
    labels = [f"{group.name} ({group.events} / {group.n})" for group in groups]
    body = [
        *draw_shades(axes, marks),
        *draw_legend("Share without event", labels, styles),
        *draw_axes(axes, axis_title),
        *draw_key(marks, last_day),
    ]
    for group, style in zip(groups, styles, strict=True):
        body += _curve(axes, group, style, marks.thin_from(last_day), has_band=len(groups) <= MOST_BANDS)
    if not any(group.n for group in groups):
        body.append(draw_nobody(axes))
    table, height = draw_risk_tables(axes, [_risk_table(group, len(groups)) for group in groups])
    notes, height = draw_notes(marks.notes, height)
    entries, height = draw_literature(axes, literature, height)
    return document(name, title, caption, (WIDTH, height), [*body, *table, *notes, *entries])


def _curve(
    axes: CurveAxes, group: SurvivalGroup, style: LineStyle, thin_from: float, *, has_band: bool
) -> Iterator[Element]:
    rows = [row for row in group.curve if row.estimate is not None]
    if not rows:
        return
    if has_band and (band := _band(axes, rows)):
        yield element("path", d=band, fill=style.color, fill_opacity=0.16, class_=style.name)
    yield from _median(axes, group)
    points = [axes.point(0, 1), *(axes.point(row.time, row.estimate or 0) for row in rows)]
    yield from draw_steps(points, axes.days.at(thin_from), style)
    if marks := censor_marks([axes.point(row.time, row.estimate or 0) for row in rows if row.censored]):
        yield line(marks, stroke=style.color, class_=f"stroke-{style.name}", stroke_width=1.5)


def _band(axes: CurveAxes, rows: Sequence[CurveRow]) -> str:
    """Returns the outline of the band; an empty text without one. Where the estimate is 1 the limits are drawn as 1."""
    limited = list[tuple[float, float, float]]()
    end = 0.0
    for row in rows:
        lower, upper = (1.0, 1.0) if row.estimate == 1 else (row.lower, row.upper)
        if row.month is not None or lower is None or upper is None:
            end = axes.days.at(row.time)
            break
        limited.append((axes.days.at(row.time), axes.shares.at(lower), axes.shares.at(upper)))
        end = limited[-1][0]
    return band_path(limited, end)


def _median(axes: CurveAxes, group: SurvivalGroup) -> Iterator[Element]:
    """Yields the line to the median, if it was reached."""
    if group.median.estimate is not None:
        x, y = axes.point(group.median.estimate, 0.5)
        path = f"M{LEFT} {svg_number(y)}H{svg_number(x)}V{svg_number(axes.shares.start_at)}"
        yield line(path, stroke=MUTED, class_="stroke-muted", stroke_dasharray="2 3")


def _risk_table(group: SurvivalGroup, group_count: int) -> RiskTable:
    """Returns the numbers of a group: all of them, if there are not too many groups."""
    if not group.risk_table:
        return RiskTable(group.name, [("At risk", [(row.time, str(row.at_risk)) for row in group.curve])])
    names = ("at_risk", "events", "censored") if group_count <= MOST_WHOLE_TABLES else ("at_risk",)
    labels = {"at_risk": "At risk", "events": "Events", "censored": "Censored"}
    return RiskTable(group.name, [(labels[name], _numbers(group.risk_table, name)) for name in names])


def _numbers(rows: Sequence[RiskTableRow], name: str) -> NumbersByDay:
    return [(row.time, str(getattr(row, name))) for row in rows]
