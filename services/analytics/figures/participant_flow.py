"""The flow of participants, after CONSORT: screened, enrolled and treated, and where the enrolled are now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import ClassVar, Self, get_args

from services.analytics.charts.svg import (
    Element,
    document,
    element,
    group,
    line,
    secondary_text,
    svg_number,
    text,
)
from services.analytics.charts.theme import ACCENT, GROUND, MUTED, RULE, TINT
from services.analytics.cohort.participation_status import FollowUpStatus
from services.analytics.disclosure.declaration import Disclosure
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.snapshot.flow import CohortFlow
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.proportions import clopper_pearson, percent
from services.analytics.wording.participation_status import PARTICIPATION_STATUS_LABELS, describe_participation_status
from services.analytics.wording.phrasing import count_noun

_LABELS = {
    **PARTICIPATION_STATUS_LABELS,
    "screened": "Screened",
    "screen_failed": "Screen failed",
    "screen_failed_after_consent": "Screen failed after consent",
    "consented": "Consented",
    "enrolled": "Enrolled",
    "treated": "Treated (index course started)",
    "stereotactic": "Stereotactic radiotherapy of a metastasis",
}
_STEPS = (
    "screened",
    "screen_failed",
    "screen_failed_after_consent",
    "consented",
    "enrolled",
    "treated",
    "stereotactic",
)
_COUNTS = frozenset({*_STEPS, *get_args(FollowUpStatus)})

_WIDTH = 480
_BOX_WIDTH, _SIDE_BOX_WIDTH, _BOX_HEIGHT, _STEP_HEIGHT = 236, 216, 46, 70
_MIDDLE = 1 + _BOX_WIDTH / 2
_LANE_HEIGHT = 26


class ParticipantFlow(Figure):
    """Counts of participants; the stereotactic share in percent of the enrolled, with its exact 95 % interval.

    Each enrolled participant has one status: died, withdrawn, lost, completed, in follow-up or awaiting treatment, the
    first of these that holds. Percent and interval are null if there is no enrolled participant, and in a subset.
    """

    NAME: ClassVar[str] = "flow"
    TITLE: ClassVar[str] = "Participant flow"
    EXPLANATION: ClassVar[str] = (
        "The steps of participants from screening to treatment, after CONSORT, and where the enrolled ones stand "
        "at the data cut-off. Each enrolled participant has one status: of died, withdrawn, lost to follow-up "
        "and completed the first that holds, else in follow-up or awaiting treatment. Percentages are of the "
        "enrolled, with Clopper and Pearson's interval."
    )
    TABLES: ClassVar[tuple[str, ...]] = ("absence", "visit")
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(counts=_COUNTS, divisible=False, person_level=False)

    screened: int
    screen_failed: int
    screen_failed_after_consent: int
    consented: int
    enrolled: int
    treated: int
    stereotactic: int
    stereotactic_percent: float | None
    stereotactic_interval: tuple[float, float] | None
    in_follow_up: int
    awaiting_treatment: int
    completed: int
    died: int
    withdrawn: int
    lost: int

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        flow = CohortFlow.from_snapshot(snapshot, selection)
        enrolled, stereotactic = flow.count(flow.enrolled), flow.count(flow.stereotactic)
        share, interval = _share(stereotactic, enrolled) if selection.subset == "all" else (None, None)
        return cls(
            screened=flow.count(flow.screened),
            screen_failed=flow.count(flow.screen_failed),
            screen_failed_after_consent=flow.count(flow.screen_failed & flow.consented),
            consented=flow.count(flow.consented),
            enrolled=enrolled,
            treated=flow.count(flow.treated),
            stereotactic=stereotactic,
            stereotactic_percent=share,
            stereotactic_interval=interval,
            in_follow_up=flow.count_status("in_follow_up"),
            awaiting_treatment=flow.count_status("awaiting_treatment"),
            completed=flow.count_status("completed"),
            died=flow.count_status("died"),
            withdrawn=flow.count_status("withdrawn"),
            lost=flow.count_status("lost"),
            imputed_dates=flow.count_imputed_dates(),
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts: they are of the whole study, and of its state at the data cut-off."""
        return self

    @property
    def statuses(self) -> dict[str, int]:
        """The number of enrolled participants by status, in the order in which people read them."""
        return {
            "in_follow_up": self.in_follow_up,
            "awaiting_treatment": self.awaiting_treatment,
            "completed": self.completed,
            "died": self.died,
            "withdrawn": self.withdrawn,
            "lost": self.lost,
        }

    @property
    def steps(self) -> dict[str, int]:
        """Every count by its name, in the order of the table."""
        return {
            "screened": self.screened,
            "screen_failed": self.screen_failed,
            "screen_failed_after_consent": self.screen_failed_after_consent,
            "consented": self.consented,
            "enrolled": self.enrolled,
            "treated": self.treated,
            "stereotactic": self.stereotactic,
            **self.statuses,
        }

    def caption(self, context: FigureContext) -> str:
        statuses = ", ".join(f"{count} {describe_participation_status(name)}" for name, count in self.statuses.items())
        return (
            f"Of {count_noun(self.screened, 'person').replace('persons', 'people')} screened, "
            f"{self.screen_failed} failed screening, {self.consented} consented and {self.enrolled} were "
            f"enrolled; {self.treated} started the index course of radiotherapy. "
            f"Stereotactic radiotherapy of a metastasis: {_stereotactic_share(self)}. "
            f"Status of the enrolled participants: {statuses}. {self.provenance(context)}"
        )

    def headline(self, context: FigureContext) -> Headline:
        return [(name, str(self.steps[name]), name) for name in ("screened", "enrolled", "treated", "stereotactic")]

    def table(self) -> FigureTable:
        """Returns one row for every count; percent and interval only where they are defined."""
        low, high = self.stereotactic_interval or (None, None)
        share = [_format_percent(self.stereotactic_percent), _format_percent(low), _format_percent(high)]
        rows = [
            [_LABELS[name], str(count), *(share if name == "stereotactic" else ["", "", ""])]
            for name, count in self.steps.items()
        ]
        return ["Step", "Participants", "Percent of enrolled", "95 % CI lower", "95 % CI upper"], rows

    def draw(self, context: FigureContext) -> str:
        top = 1 + 4 * _STEP_HEIGHT
        body = [*_main_boxes(self), *_exits(self), *_stereotactic(self, top), *_status_bars(self, top + 96)]
        height = top + 96 + 10 + _LANE_HEIGHT * len(self.statuses)
        return document(self.NAME, self.TITLE, self.caption(context), (_WIDTH, height), body)


def _share(count: int, total: int) -> tuple[float | None, tuple[float, float] | None]:
    """Returns percent to one decimal and the Clopper-Pearson interval; None for a total of 0."""
    if not total:
        return None, None
    lower, upper = clopper_pearson(count, total)
    return percent(count / total), (percent(lower), percent(upper))


def _stereotactic_share(figure: ParticipantFlow) -> str:
    """Returns the share of the enrolled; in a figure of the stereotactic subset, of which all are, the number alone."""
    if share := _format_share(figure):
        return f"{figure.stereotactic} / {figure.enrolled} = {share}"
    return str(figure.stereotactic) if figure.enrolled else "not defined, because no participant is enrolled"


def _format_share(figure: ParticipantFlow) -> str:
    if figure.stereotactic_interval is None:
        return ""
    low, high = figure.stereotactic_interval
    return f"{figure.stereotactic_percent:.1f} % (95 % CI {low:.1f}–{high:.1f})"


def _format_percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _main_boxes(figure: ParticipantFlow) -> Iterator[Element]:
    for index, name in enumerate(("screened", "consented", "enrolled", "treated")):
        top = 1 + index * _STEP_HEIGHT
        label = _LABELS[name].partition(" (")[0]
        yield _box(1, top, _BOX_WIDTH, label, figure.steps[name])
        if index < 3:
            yield _arrow(_MIDDLE, top + _BOX_HEIGHT, top + _STEP_HEIGHT)


def _exits(figure: ParticipantFlow) -> Iterator[Element]:
    """Draws a box for the participants who leave, beside the arrow where they leave.

    The treated and the enrolled are parts of the box above. A participant who failed screening after consent is not
    enrolled, and is in that box alone.
    """
    exits = (
        ("Failed before consent", figure.screen_failed - figure.screen_failed_after_consent),
        ("Not enrolled", figure.consented - figure.enrolled),
        ("Not treated", figure.enrolled - figure.treated),
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


def _stereotactic(figure: ParticipantFlow, top: float) -> Iterator[Element]:
    """Draws the stereotactic part of the enrolled on a dashed line without a head, because it is no next step."""
    share = _format_share(figure)
    undefined = "all of this subset" if figure.enrolled else "percentage not defined: no participant is enrolled"
    explanation = f"{share} of the enrolled" if share else undefined
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
    yield text(_WIDTH - 15, top + 37, str(figure.stereotactic), "end", font_size=20, font_weight=600)


def _status_bars(figure: ParticipantFlow, top: float) -> Iterator[Element]:
    """Draws how many of the enrolled have each of the six statuses at the data cut-off."""
    left, right = 154, _WIDTH - 44
    yield text(
        1,
        top,
        f"Status of the {count_noun(figure.enrolled, 'enrolled participant')} at the data cut-off",
        font_weight=600,
    )
    for index, (name, count) in enumerate(figure.statuses.items()):
        base = top + 28 + index * _LANE_HEIGHT
        length = (right - left) * count / max(figure.enrolled, 1)
        yield secondary_text(1, base, _LABELS[name], font_size=13)
        yield element("rect", x=left, y=base - 11, width=right - left, height=14, rx=3, fill=GROUND, class_="ground")
        if length:
            yield element("rect", x=left, y=base - 11, width=length, height=14, rx=3, fill=ACCENT, class_="accent")
        yield text(_WIDTH - 1, base, str(count), "end", font_weight=600)
