"""Treatments: every prescribed target with its doses, one row each, and a lane for every delivery.

Rows come in pages. The counts, and the picture that is drawn of them, are those of all selected participants.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.charts.axes import LinearScale, tick_values
from services.analytics.charts.dot_stacks import (
    DOT_DISTANCE,
    Stacks,
    draw_stack,
    draw_stacks,
    snap_to_stack,
    tallest_stack,
    unit_height,
)
from services.analytics.charts.svg import Element, document, grid_line, secondary_text, text
from services.analytics.endpoints.characteristics import DELIVERY_ORDER
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.person_level import PersonLevelFigure
from services.analytics.figures.row_pages import PageSelector
from services.analytics.figures.target_rows import TargetList, TargetRow, list_targets
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.dose import gray
from services.analytics.wording.phrasing import capitalize, count_noun, format_number, format_share, humanize

_COLUMN_HEADINGS = {
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
_FRACTION_X, _TARGETS_X = 492, 556


class Fractionation(BaseModel):
    """The targets with the same fractions and doses, of the index course or of others. Doses in Gy."""

    model_config = ConfigDict(frozen=True)

    fractions: int
    dose_per_fraction_gy: float
    total_dose_gy: float
    index: bool
    targets: int


class DeliveryCount(BaseModel):
    """The participants and targets treated by one delivery, and the targets by fractionation, the least dose first."""

    model_config = ConfigDict(frozen=True)

    delivery: str
    participants: int
    targets: int
    fractionations: tuple[Fractionation, ...]


class Treatments(PersonLevelFigure):
    """Every prescribed target with its doses, a page at a time, and the counts of all by delivery.

    Targets are sorted by participant, start of the course, course, and order of the prescription.
    """

    NAME: ClassVar[str] = "treatments"
    TITLE: ClassVar[str] = "Treatments"
    EXPLANATION: ClassVar[str] = (
        "The targets that were prescribed to enrolled participants, as prescribed last by the data cut-off. BED "
        "and EQD2 follow from fractions and dose per fraction by the linear-quadratic model, with an alpha/beta "
        "of 10 and of 3 Gy."
    )
    TABLES: ClassVar[tuple[str, ...]] = ("course",)
    COLUMN_HEADINGS = _COLUMN_HEADINGS

    targets: tuple[TargetRow, ...] = Field(description="rows of single participants: those of the page")
    participants: int = Field(description="participants with a target")
    deliveries: tuple[DeliveryCount, ...]

    @classmethod
    def _compute_page(cls, snapshot: StudySnapshot, selection: Selection, rows: PageSelector) -> Self:
        target_list = list_targets(snapshot, selection)
        selected = rows.select(target_list.column("participant_id"))
        return cls(
            page=selected.page,
            next=selected.next,
            targets=target_list.rows(selected.places),
            participants=len(np.unique(target_list.subject_index)),
            deliveries=_count_deliveries(target_list),
            imputed_dates=target_list.count_imputed_dates(),
            left_out=selection.count_excluded(snapshot),
        )

    def caption(self, context: FigureContext) -> str:
        """Returns the number of targets and participants, and of them by delivery as n / N with the exact interval."""
        parts = [
            f"{capitalize(humanize(row.delivery))}: {count_noun(row.targets, 'target')} in "
            f"{format_share(row.participants, self.participants)} of these participants."
            for row in self._ordered_deliveries()
        ]
        total = f"{count_noun(self.page.total, 'target')} in {count_noun(self.participants, 'participant')}."
        explanation = (
            "A participant can have several targets. Each dose level of an integrated boost counts as a target; "
            "the doses are not added."
        )
        return " ".join([total, *parts, explanation, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        counts = [
            ("targets", self.page.total, "target"),
            ("participants", self.participants, "participant"),
        ]
        parts = ((name, count_noun(count, noun).partition(" ")) for name, count, noun in counts)
        return [(name, number, words) for name, (number, _, words) in parts]

    def table(self) -> FigureTable:
        """Returns a row for every target of the page with the coded values as they are recorded; doses in Gy."""
        return list(_COLUMN_HEADINGS), [
            [_cell(getattr(target, name)) for name in _COLUMN_HEADINGS] for target in self.targets
        ]

    def draw(self, context: FigureContext) -> str:
        """Returns a lane for every delivery, with a dot for every target at its total dose and the counts beside it."""
        doses = tick_values(self._highest_dose(), 6)
        scale = LinearScale(start=0, end=doses[-1], start_at=_LEFT, end_at=_RIGHT)
        stacks = {row.delivery: _stacks(row, scale) for row in self._ordered_deliveries()}
        tallest = max((tallest_stack(stack) for stack in stacks.values()), default=0)
        unit = unit_height(tallest)
        body, base = list[Element](), float(_TOP)
        for row in self._ordered_deliveries():
            stack = stacks[row.delivery]
            base += max(_LANE_HEIGHT, tallest_stack(stack) * unit + 14)
            body += [*_lane(row, base), *draw_stacks(stack, base, unit)]
        if not stacks:
            base += _LANE_HEIGHT
            body.append(
                secondary_text((_LEFT + _RIGHT) / 2, _TOP + 30, "No target is prescribed yet", "middle", font_size=14)
            )
        legend = _legend(base + 52, tallest if unit < DOT_DISTANCE else 0)
        axis = _axis(doses, scale, base) if stacks else ()
        return document(self.NAME, self.TITLE, self.caption(context), (_WIDTH, base + 62), [*axis, *body, *legend])

    def _highest_dose(self) -> float:
        return max((dose.total_dose_gy for row in self.deliveries for dose in row.fractionations), default=60)

    def _ordered_deliveries(self) -> list[DeliveryCount]:
        """Returns the deliveries that occur, in the order in which people read them, others after them by name."""
        order = {name: rank for rank, name in enumerate(DELIVERY_ORDER)}
        present = [row for row in self.deliveries if row.targets]
        return sorted(present, key=lambda row: (order.get(row.delivery, len(order)), row.delivery))


def _count_deliveries(target_list: TargetList) -> tuple[DeliveryCount, ...]:
    """Returns the counts of each delivery that occurs, by name."""
    deliveries = target_list.column("delivery")
    columns = [target_list.column(name) for name in ("total_cgy", "fraction_cgy", "fractions")]
    is_index = target_list.courses["is_index"][target_list.course_index]
    rows = zip(deliveries.tolist(), *(column.tolist() for column in columns), is_index.tolist(), strict=True)
    fractionations = defaultdict[int, list[Fractionation]](list)
    for (code, total_cgy, fraction_cgy, fractions, index), count in sorted(Counter(rows).items()):
        fractionations[code].append(
            Fractionation(
                fractions=fractions,
                dose_per_fraction_gy=float(gray(fraction_cgy)),
                total_dose_gy=float(gray(total_cgy)),
                index=index,
                targets=count,
            )
        )
    counts = [
        DeliveryCount(
            delivery=target_list.word(code),
            participants=len(np.unique(target_list.subject_index[deliveries == code])),
            targets=sum(row.targets for row in of_delivery),
            fractionations=tuple(of_delivery),
        )
        for code, of_delivery in fractionations.items()
    ]
    return tuple(sorted(counts, key=lambda row: row.delivery))


def _stacks(row: DeliveryCount, scale: LinearScale) -> Stacks:
    """Returns the targets of a delivery along the dose axis: filled those of the index course, hollow others."""
    stacks: Stacks = {}
    for dose in row.fractionations:
        stacks.setdefault(snap_to_stack(scale.at(dose.total_dose_gy)), Counter())[dose.index] += dose.targets
    return stacks


def _lane(row: DeliveryCount, base: float) -> Iterator[Element]:
    doses = [Decimal(str(dose.dose_per_fraction_gy)) for dose in row.fractionations]
    yield grid_line(0, base, _WIDTH, base)
    yield text(0, base - 15, capitalize(humanize(row.delivery)))
    yield secondary_text(_FRACTION_X, base - 15, _format_range(doses), "end", font_size=13)
    yield text(_TARGETS_X, base - 15, str(row.targets), "end", font_weight=600)
    yield text(_WIDTH, base - 15, str(row.participants), "end", font_weight=600)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_number(value) if isinstance(value, float) else "" if value is None else str(value)


def _axis(doses: list[float], scale: LinearScale, bottom: float) -> Iterator[Element]:
    for dose in doses:
        x = scale.at(dose)
        yield grid_line(x, _TOP - 8, x, bottom)
        yield secondary_text(x, bottom + 18, format_number(dose), "middle")
    yield secondary_text(_LEFT, _TOP - 28, "Total dose, Gy")
    for x, label in ((_FRACTION_X, "Gy per fraction"), (_TARGETS_X, "Targets"), (_WIDTH, "Participants")):
        yield secondary_text(x, _TOP - 28, label, "end")


def _format_range(doses: list[Decimal]) -> str:
    if not doses:
        return "–"
    low, high = format_number(min(doses)), format_number(max(doses))
    return low if low == high else f"{low}–{high}"


def _legend(base: float, tallest: int) -> Iterator[Element]:
    for x, filled, label in ((0, True, "Target of the index course"), (190, False, "Target of another course")):
        yield from draw_stack(x + 4, base + 1, 1, DOT_DISTANCE, filled=filled)
        yield secondary_text(x + 14, base, label)
    if tallest:
        yield secondary_text(_WIDTH, base, f"Tallest column: {count_noun(tallest, 'target')}", "end")
