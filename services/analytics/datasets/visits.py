"""ADVIS: the planned visits by the plan and the anchor that hold on the data cut-off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, NamedTuple

import numpy as np

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.snapshot.closed_visits import ClosedVisits
from services.analytics.snapshot.columns import day_of_number

_OPEN = "not_closed"
_STATES = {
    "done": "A contact within the window",
    "done_late": "A contact after the window, before the next one opened",
    "not_reported": "No contact in the slot",
    "not_applicable": "Follow-up had ended by the end of the window",
    _OPEN: "The window has not closed before the cut-off",
}
_PLANNED = {
    "anchor_on": "anchdt",
    "valid_from": "plandt",
    "opens": "opendt",
    "target": "targdt",
    "closes": "closdt",
    "slot_ends": "slotdt",
}
"""The planned days by their columns of derived rows."""


class PlannedVisit(NamedTuple):
    """A planned visit. Its days may lie after the cut-off: they are planned."""

    studyid: StudyId
    usubjid: ParticipantNumber
    schedid: Annotated[str, Column("Schedule", "index, or the course that visits are counted from.")]
    avisitn: Annotated[int, Column("Analysis Visit (N)", "The number of the visit in its schedule, from 1.")]
    anchdt: Annotated[date, Column("Anchor Date", "The end of the course that visits are counted from.")]
    plandt: Annotated[date, Column("Plan Valid From", "The first day on which the visit is counted by this plan.")]
    opendt: Annotated[date, Column("First Day of the Window", "From the protocol.")]
    targdt: Annotated[date, Column("Target Date", "From the protocol.")]
    closdt: Annotated[date, Column("Last Day of the Window", "From the protocol.")]
    slotdt: Annotated[date, Column("Last Day of the Slot", "The day before the next visit opens.")]
    contdt: Annotated[date | None, Column("Contact Date", "The earliest contact in the slot, by the cut-off.")]
    vstat: Annotated[str, Column("State on the Cut-off", "As visit adherence counts it.", codes=_STATES)]


def make_visits(cohort: CutCohort) -> Iterator[PlannedVisit]:
    """Yields the visits by participant, schedule and number."""
    yield from sorted(_visits(cohort))


def _visits(cohort: CutCohort) -> Iterator[PlannedVisit]:
    table, cut = cohort.rows("visit"), cohort.cut_number
    current = table.where((table["valid_from"] <= cut) & (cut <= table["valid_to"]))
    closed = ClosedVisits.of(cohort.snapshot, cohort.selection)
    states = np.full(len(closed.visits), _OPEN, dtype=object)
    for name, mask in closed.states.items():
        states[mask] = name
    keys = cohort.records(closed.visits, "participant_id", "schedule", "number")
    state_by_visit = dict(zip(keys, states.tolist(), strict=True))
    rows = zip(
        cohort.records(current, "participant_id", "schedule", "number"),
        cohort.words(current["schedule"]),
        cohort.records(current, *_PLANNED),
        current["contact_on"].tolist(),
        strict=True,
    )
    for key, schedule, planned, contact in rows:
        yield PlannedVisit(
            cohort.study_id,
            key[0],
            schedule,
            key[2],
            **{name: day_of_number(day) for name, day in zip(_PLANNED.values(), planned, strict=True)},
            contdt=cohort.day(contact),
            vstat=state_by_visit.get(key, _OPEN),
        )


ADVIS = DataSet(
    name="ADVIS",
    label="Planned Visit Data Set",
    structure="One record per participant per schedule per planned visit",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "SCHEDID", "AVISITN"),
    record=PlannedVisit,
    make=make_visits,
)
