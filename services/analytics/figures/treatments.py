"""Treatments: every prescribed target with its doses, one row each, and a lane for every delivery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import ClassVar, Self

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
from services.analytics.disclosure.declaration import Disclosure
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.target_rows import TargetRow, select_targets
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.wording.phrasing import capitalize, count_noun, format_number, format_share, humanize
from shared.kernel.errors import ReadersSeeCuts

DELIVERY_ORDER = ("conventional", "hypofractionated", "FSRT", "SBRT", "SRS", "brachytherapy")
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


class DeliveryCount(BaseModel):
    """The participants and targets treated by one delivery."""

    model_config = ConfigDict(frozen=True)

    delivery: str
    participants: int
    targets: int


class Treatments(Figure):
    """Every prescribed target with its doses, and participants and targets by delivery."""

    NAME: ClassVar[str] = "treatments"
    TITLE: ClassVar[str] = "Treatments"
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(counts=frozenset(), divisible=False, person_level=True)
    TABLES: ClassVar[tuple[str, ...]] = ("course",)
    COLUMN_HEADINGS = _COLUMN_HEADINGS

    targets: tuple[TargetRow, ...] = Field(description="rows of single participants")
    deliveries: tuple[DeliveryCount, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        shown = select_targets(snapshot, selection)
        deliveries = sorted({row.delivery for row in shown.rows})
        return cls(
            targets=shown.rows,
            deliveries=tuple(_count_delivery(name, shown.rows) for name in deliveries),
            imputed_dates=shown.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        raise ReadersSeeCuts

    def count_participant_rows(self) -> int:
        return len(self.targets)

    def caption(self, context: FigureContext) -> str:
        """Returns the number of targets and participants, and of them by delivery as n / N with the exact interval."""
        treated = self._count_participants()
        parts = [
            f"{capitalize(humanize(row.delivery))}: {count_noun(row.targets, 'target')} in "
            f"{format_share(row.participants, treated)} of the treated participants."
            for row in self._ordered_deliveries()
        ]
        total = f"{count_noun(len(self.targets), 'target')} in {count_noun(treated, 'treated participant')}."
        explanation = (
            "A participant can have several targets. Each dose level of an integrated boost counts as a target; "
            "the doses are not added."
        )
        return " ".join([total, *parts, explanation, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        counts = [
            ("targets", len(self.targets), "target"),
            ("treated", self._count_participants(), "treated participant"),
        ]
        parts = ((name, count_noun(count, noun).partition(" ")) for name, count, noun in counts)
        return [(name, number, words) for name, (number, _, words) in parts]

    def table(self) -> FigureTable:
        """Returns a row for every target with the coded values as they are recorded; doses in Gy."""
        return list(_COLUMN_HEADINGS), [
            [_cell(getattr(target, name)) for name in _COLUMN_HEADINGS] for target in self.targets
        ]

    def draw(self, context: FigureContext) -> str:
        """Returns a lane for every delivery, with a dot for every target at its total dose and the counts beside it."""
        doses = tick_values(max((target.total_dose_gy for target in self.targets), default=60), 6)
        scale = LinearScale(start=0, end=doses[-1], start_at=_LEFT, end_at=_RIGHT)
        stacks = {row.delivery: self._stacks(row.delivery, scale) for row in self._ordered_deliveries()}
        tallest = max((tallest_stack(stack) for stack in stacks.values()), default=0)
        unit = unit_height(tallest)
        body, base = list[Element](), float(_TOP)
        for row in self._ordered_deliveries():
            stack = stacks[row.delivery]
            base += max(_LANE_HEIGHT, tallest_stack(stack) * unit + 14)
            body += [*self._lane(row, base), *draw_stacks(stack, base, unit)]
        if not stacks:
            base += _LANE_HEIGHT
            body.append(
                secondary_text((_LEFT + _RIGHT) / 2, _TOP + 30, "No participant is treated yet", "middle", font_size=14)
            )
        legend = _legend(base + 52, tallest if unit < DOT_DISTANCE else 0)
        axis = _axis(doses, scale, base) if stacks else ()
        return document(self.NAME, self.TITLE, self.caption(context), (_WIDTH, base + 62), [*axis, *body, *legend])

    def _count_participants(self) -> int:
        return len({target.participant_id for target in self.targets})

    def _ordered_deliveries(self) -> list[DeliveryCount]:
        """Returns the deliveries that occur, in the order in which people read them, others after them by name."""
        order = {name: rank for rank, name in enumerate(DELIVERY_ORDER)}
        present = [row for row in self.deliveries if row.targets]
        return sorted(present, key=lambda row: (order.get(row.delivery, len(order)), row.delivery))

    def _stacks(self, delivery: str, scale: LinearScale) -> Stacks:
        """Returns the targets of a delivery along the dose axis: filled those of the index course, hollow others."""
        stacks: Stacks = {}
        for target in self.targets:
            if target.delivery == delivery:
                stacks.setdefault(snap_to_stack(scale.at(target.total_dose_gy)), Counter())[target.index] += 1
        return stacks

    def _lane(self, row: DeliveryCount, base: float) -> Iterator[Element]:
        doses = [
            Decimal(str(target.dose_per_fraction_gy)) for target in self.targets if target.delivery == row.delivery
        ]
        yield grid_line(0, base, _WIDTH, base)
        yield text(0, base - 15, capitalize(humanize(row.delivery)))
        yield secondary_text(_FRACTION_X, base - 15, _format_range(doses), "end", font_size=13)
        yield text(_TARGETS_X, base - 15, str(row.targets), "end", font_weight=600)
        yield text(_WIDTH, base - 15, str(row.participants), "end", font_weight=600)


def _count_delivery(name: str, rows: Sequence[TargetRow]) -> DeliveryCount:
    delivery_rows = [row for row in rows if row.delivery == name]
    participants = {row.participant_id for row in delivery_rows}
    return DeliveryCount(delivery=name, participants=len(participants), targets=len(delivery_rows))


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
