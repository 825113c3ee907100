"""The derived rows of follow-up: planned visits and absences. derivation/rows.py says what the columns of rows hold."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple


class VisitRow(NamedTuple):
    """A planned visit, as it is counted on the days from `valid_from` to `valid_to`, both inclusive.

    The SQL function `visit_state` computes the state on a day from these columns. `contact_on`: the earliest contact in
    the slot. `missed_on`: the first day on which the visit was declared missed. `declared_on`: the day of a contact
    outside the slot that the site takes for this visit: the last one before the slot, or else the first one after it.
    `scheduled_on`: the day of the appointment that was stated last. `snoozed_until`: the first day on which reminders
    may be sent again. `is_acknowledged`: whether the site has acknowledged a reminder of the visit.

    `ends_on`: the earliest of death, withdrawal and a loss that was not resumed; `ends_as`: its reason. `closing_on`:
    the earlier closing of the current site and of the study, which counts from its day on; `closing_as`: its reason.
    A reason is the place of its word in `END_REASONS`, from 1, and 0 without one. `absent_until`: the resumption, if
    the participant was lost when the window closed and found again.
    """

    participant_id: str
    schedule: str
    anchor_on: date
    anchor_precision: int
    valid_from: date
    valid_to: date
    number: int
    opens: date
    target: date
    closes: date
    slot_ends: date
    contact_on: date
    contact_precision: int
    missed_on: date
    declared_on: date
    scheduled_on: date
    snoozed_until: date
    is_acknowledged: bool
    ends_on: date
    ends_as: int
    closing_on: date
    closing_as: int
    absent_until: date


class AbsenceRow(NamedTuple):
    """A loss to follow-up. `alive_before`: the last proof of life by then; without one `date.min`, not `NEVER`."""

    participant_id: str
    lost_on: date
    lost_precision: int
    resumed_on: date
    resumed_precision: int
    reason: str
    alive_before: date
