"""Histories in which rules about toxicity have something to ask, and histories in which they have not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import participant_died
from shared.testing.builders.toxicity_facts import (
    attributions,
    finding,
    serious_event_reported,
    serious_event_resolved,
    serious_event_updated,
    toxicity_assessed,
)
from tests.unit.analytics.support import RECORDED_AT, RuleExample, treated_participant

FETAL_TERM = "4.03:0582"
LATER = RECORDED_AT + timedelta(hours=1)


def attributed_finding(to: str, level: str = "possible") -> dict[str, Any]:
    return finding(grade=2, attribution=attributions(to, level=level))


WITH_QUERY: list[RuleExample] = [
    ("grade_5_without_death", treated_participant(toxicity_assessed(40, finding(grade=5)))),
    ("grade_5_without_death", treated_participant(serious_event_reported(grade=5))),
    (
        "grade_5_without_death",
        treated_participant(serious_event_reported(), serious_event_updated(aware_at=RECORDED_AT, grade=5)),
    ),
    (
        "grade_5_without_death",
        treated_participant(serious_event_reported(), serious_event_resolved(aware_at=RECORDED_AT, outcome="FATAL")),
    ),
    ("death_of_treatment_without_grade_5", treated_participant(participant_died(60, cause="treatment"))),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(participant_died(60, cause="treatment"), toxicity_assessed(50, finding(grade=4))),
    ),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(participant_died(60, cause="treatment"), toxicity_assessed(50, finding(FETAL_TERM, 5))),
    ),
    ("ungraded_event", treated_participant(toxicity_assessed(40, finding(grade=None)))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessed(1, timepoint="baseline"))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessed("2024-03", timepoint="baseline"))),
    (
        "assessed_before_course",
        treated_participant(facts.radiotherapy_started(90, "RT2", index=False), toxicity_assessed(80, course_id="RT2")),
    ),
    (
        "attributed_to_later_treatment",
        treated_participant(facts.systemic_therapy_started(90), toxicity_assessed(80, attributed_finding("line:S1"))),
    ),
    (
        "serious_event_reported_late",
        treated_participant(serious_event_reported(aware_at=RECORDED_AT - timedelta(hours=24, seconds=1))),
    ),
]
WITHOUT_QUERY: list[RuleExample] = [
    (
        "grade_5_without_death",
        treated_participant(toxicity_assessed(40, finding(grade=5)), participant_died(41)),
    ),
    (
        "grade_5_without_death",
        treated_participant(toxicity_assessed(40, finding(grade=5)), participant_died(None)),
    ),
    (
        "grade_5_without_death",
        treated_participant(toxicity_assessed(40, finding(FETAL_TERM, 5))),
    ),
    ("grade_5_without_death", treated_participant(serious_event_reported(grade=5, term=FETAL_TERM, outcome="FATAL"))),
    (
        "grade_5_without_death",
        treated_participant(serious_event_reported(grade=5), serious_event_updated(aware_at=RECORDED_AT, grade=4)),
    ),
    (
        "grade_5_without_death",
        treated_participant(
            serious_event_reported(),
            serious_event_updated(aware_at=LATER, grade=4),
            serious_event_updated(aware_at=RECORDED_AT, grade=5),
        ),
    ),
    (
        "grade_5_without_death",
        treated_participant(
            serious_event_reported(),
            serious_event_resolved(aware_at=RECORDED_AT, outcome="FATAL"),
            serious_event_updated(aware_at=LATER, outcome="UNKNOWN"),
        ),
    ),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(participant_died(60, cause="treatment"), toxicity_assessed(50, finding(grade=5))),
    ),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(participant_died(60, cause="treatment"), serious_event_reported(grade=5)),
    ),
    ("death_of_treatment_without_grade_5", treated_participant(participant_died(60, cause="tumour"))),
    ("ungraded_event", treated_participant(toxicity_assessed(40, finding(grade=0)))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessed(0, timepoint="baseline"))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessed("2024-02", timepoint="baseline"))),
    (
        "baseline_toxicity_after_course_start",
        treated_participant(
            facts.radiotherapy_started(90, "RT2", index=False),
            toxicity_assessed(80, timepoint="baseline", course_id="RT2"),
        ),
    ),
    (
        "assessed_before_course",
        treated_participant(
            facts.radiotherapy_started(90, "RT2", index=False),
            toxicity_assessed(80, timepoint="baseline", course_id="RT2"),
        ),
    ),
    (
        "attributed_to_later_treatment",
        treated_participant(facts.systemic_therapy_started(80), toxicity_assessed(80, attributed_finding("line:S1"))),
    ),
    (
        "attributed_to_later_treatment",
        treated_participant(
            facts.systemic_therapy_started(90),
            toxicity_assessed(80, attributed_finding("line:S1", "unrelated"), finding("3.0:0151", 1)),
        ),
    ),
    (
        "serious_event_reported_late",
        treated_participant(serious_event_reported(aware_at=RECORDED_AT - timedelta(hours=24))),
    ),
]
