"""Rates of events in `demo-live`, besides those of the disease (infra/synthetic/probabilities.py).

They are rates of treatment paths, reporting delays, partial dates and errors of sites.

The numbers are ours: those of careful sites, and high enough that a few hundred participants show every event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from infra.synthetic.cohort import TreatmentPath
from infra.synthetic.probabilities import DaySpanWeights

ParticipantPath = TreatmentPath | Literal["stereotactic", "failed", "consented"]
PARTICIPANT_PATH_WEIGHTS: Mapping[ParticipantPath, int] = {
    "curative": 42,
    "palliative": 20,
    "stereotactic": 15,
    "discontinued": 7,
    "withdrawn": 4,
    "failed": 8,
    "consented": 4,
}
"""Percent of participants on each path."""

REPORT_DELAYS: DaySpanWeights = {(0, 0): 56, (1, 3): 22, (4, 14): 14, (15, 60): 6.5, (61, 150): 1.5}
"""Days from an event to the report of the site."""
REPORT_DELAYS_BY_TYPE: Mapping[str, DaySpanWeights] = {
    "participant.screened": {(0, 0): 95, (1, 5): 5},
    "participant.consented": {(0, 0): 95, (1, 5): 5},
    "participant.enrolled": {(0, 0): 95, (1, 5): 5},
    "participant.baseline_recorded": {(0, 2): 80, (3, 14): 20},
    "lesion.registered": {(0, 2): 85, (3, 14): 15},
    "radiotherapy.started": {(0, 1): 85, (2, 14): 15},
    "radiotherapy.completed": {(0, 1): 80, (2, 21): 20},
    "participant.transferred": {(0, 3): 100},
    "participant.died": {(0, 7): 45, (8, 45): 40, (46, 200): 15},
    "toxicity.serious_event_reported": {(0, 1): 88, (2, 10): 12},
    "reminder.snoozed": {(0, 0): 100},
    "reminder.acknowledged": {(0, 0): 100},
    "record.corrected": {(1, 14): 50, (15, 60): 35, (61, 150): 15},
}
"""The same for facts with delays of their own; those of a correction count from the corrected fact."""

PARTIAL_DATE_RATES: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("participant.baseline_recorded", "diagnosed_on"): {"month": 0.12, "year": 0.01},
    ("procedure.performed", "performed_on"): {"month": 0.08, "year": 0.01},
    ("lesion.registered", "found_on"): {"month": 0.05},
    ("systemic_therapy.started", "on"): {"month": 0.04},
    ("systemic_therapy.stopped", "on"): {"month": 0.05},
    ("vital_status.confirmed", "alive_on"): {"month": 0.2},
    ("toxicity.serious_event_reported", "onset_on"): {"month": 0.03},
}
"""Rates of partial dates by (fact, member). For deaths see DEATH_DATE_PRECISION_WEIGHTS in probabilities.py."""

# Rates are shares of the participants to whom the event can happen.

OPTIONAL_EVENT_RATES: Mapping[str, float] = {
    "a criterion is waived": 0.02,
    "the prescription is changed": 0.08,
    "consent is renewed": 0.05,
    "transferred to another site": 0.04,
    "all use of the data is withdrawn": 0.015,
    "a registry is asked after the withdrawal": 0.5,
    "a new lesion is registered": 0.6,
    "a reminder is snoozed": 0.15,
    "a reminder is acknowledged": 0.25,
    "entered in error": 0.012,
    "a duplicate": 0.012,
}

CONTRADICTION_RATES: Mapping[str, float] = {
    "a response of PD without progression": 0.02,
    "grade 5 of a living participant": 0.02,
    "a finding without a grade": 0.03,
    "graded after death": 0.01,
    "baseline graded after the start of radiotherapy": 0.03,
    "another visit than the day's": 0.02,
    "declared missed though it took place": 0.012,
    "a progression that is not recorded": 0.02,
    "the end of the index course to the month": 0.012,
    "a course without an end": 0.03,
    "a contact after the withdrawal": 0.15,
}
"""Contradictions that are possible and become data queries, at rates that a monitor would call too high."""

CORRECTION_RATES: Mapping[str, float] = {
    "a year of birth mistyped": 0.02,
    "a performance mistyped": 0.03,
    "the end of a course mistyped": 0.025,
    "a grade mistyped": 0.03,
    "the day of a contact mistyped": 0.03,
    "the cause of death found out": 0.04,
    "a contact entered twice": 0.025,
    "an assessment of another participant": 0.012,
    "a contact voided by mistake": 0.012,
}
"""Facts that are reported wrong first and then corrected, voided, or re-instated after a mistaken voiding."""
