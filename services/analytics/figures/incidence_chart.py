"""The picture of cumulative incidence: curves that rise from 0 with bands, and the numbers at risk below the axis.

An undivided figure also shows what competes: the incidence of all competing causes together, without a band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.analytics.charts.svg import Element, document, element, line
from services.analytics.figures.curve_frame import (
    MOST_BANDS,
    MOST_WHOLE_TABLES,
    NO_MARKS,
    WIDTH,
    CurveAxes,
    CurveMarks,
    LineStyle,
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
from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidenceRow

_LABELS = {"at_risk": "At risk", "events": "Events", "competing": "Competing", "censored": "Censored"}


@dataclass(frozen=True, slots=True)
class IncidenceCurve:
    """A curve of a picture: its label, its points of (day, share), and the rows that give it a band and marks."""

    label: str
    points: Sequence[tuple[float, float]]
    rows: Sequence[IncidenceRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidencePicture:
    """The words, the curves and the marks of a picture. `groups` have the numbers below the axis."""

    name: str
    title: str
    caption: str
    axis_title: str
    curves: Sequence[IncidenceCurve]
    groups: Sequence[IncidenceGroup]
    marks: CurveMarks = NO_MARKS


def event_curve(label: str, group: IncidenceGroup) -> IncidenceCurve:
    """Returns the curve of the event in a group, with its band and its marks."""
    rows = [row for row in group.curve if row.estimate is not None]
    return IncidenceCurve(label, [(row.time, row.estimate or 0.0) for row in rows], rows)


def line_curve(label: str, group: IncidenceGroup) -> IncidenceCurve:
    """Returns the curve of the event in a group as a line alone, without band and marks."""
    return IncidenceCurve(label, event_curve(label, group).points)


def competing_curve(label: str, group: IncidenceGroup) -> IncidenceCurve:
    """Returns the curve of all competing causes together in a group."""
    return IncidenceCurve(label, [(row.time, row.competing) for row in group.curve if row.competing is not None])


def draw_incidence(picture: IncidencePicture) -> str:
    """Returns the picture as SVG text."""
    curves, marks = picture.curves, picture.marks
    last_day = int(max((day for curve in curves for day, _ in curve.points), default=0))
    axes = curve_axes(last_day, len(curves))
    styles = line_styles(len(curves))
    body = [
        *draw_shades(axes, marks),
        *draw_legend("Cumulative incidence", [curve.label for curve in curves], styles),
        *draw_axes(axes, picture.axis_title),
        *draw_key(marks, last_day),
    ]
    for curve, style in zip(curves, styles, strict=True):
        body += _curve(axes, curve, style, marks.thin_from(last_day), has_band=len(curves) <= MOST_BANDS)
    if not any(group.n for group in picture.groups):
        body.append(draw_nobody(axes))
    table, height = draw_risk_tables(axes, [_risk_table(group, len(picture.groups)) for group in picture.groups])
    lines, height = draw_notes(marks.notes, height)
    return document(picture.name, picture.title, picture.caption, (WIDTH, height), [*body, *table, *lines])


def _curve(
    axes: CurveAxes, curve: IncidenceCurve, style: LineStyle, thin_from: float, *, has_band: bool
) -> Iterator[Element]:
    if not curve.points:
        return
    if has_band and (band := _band(axes, curve.rows)):
        yield element("path", d=band, fill=style.color, fill_opacity=0.16, class_=style.name)
    points = [axes.point(0, 0), *(axes.point(day, share) for day, share in curve.points)]
    yield from draw_steps(points, axes.days.at(thin_from), style)
    if marks := censor_marks([axes.point(row.time, row.estimate or 0) for row in curve.rows if row.censored]):
        yield line(marks, stroke=style.color, class_=f"stroke-{style.name}", stroke_width=1.5)


def _band(axes: CurveAxes, rows: Sequence[IncidenceRow]) -> str:
    """Returns the outline of the band; an empty text without one. Where the estimate is 0 the limits are drawn as 0."""
    limited, end = list[tuple[float, float, float]](), 0.0
    for row in rows:
        lower, upper = (0.0, 0.0) if not row.estimate else (row.lower, row.upper)
        end = axes.days.at(row.time)
        if row.month is not None or lower is None or upper is None:
            break
        limited.append((end, axes.shares.at(lower), axes.shares.at(upper)))
    return band_path(limited, end)


def _risk_table(group: IncidenceGroup, group_count: int) -> RiskTable:
    """Returns the numbers of a group: all of them, if there are not too many groups."""
    if not group.risk_table:
        return RiskTable(group.name, [("At risk", [(row.time, str(row.at_risk)) for row in group.curve])])
    names = list(_LABELS) if group_count <= MOST_WHOLE_TABLES else ["at_risk"]
    return RiskTable(
        group.name,
        [(_LABELS[name], [(row.time, str(getattr(row, name))) for row in group.risk_table]) for name in names],
    )
