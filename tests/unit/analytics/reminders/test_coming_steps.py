"""The step that comes next, by the plans in force on the days to come and by the working days of its audience."""

from __future__ import annotations

from datetime import date

import pytest

from services.analytics.reminders.coming_steps import ComingSteps
from services.analytics.reminders.steps import PlanFrom, Step
from shared.protocol.protocol import ReminderPlan
from tests.unit.analytics.reminders.sending import FOLLOW_UP, Facts, day

VISIT = Facts().visits(FOLLOW_UP)[0]
"""A visit whose window closes on Tuesday, 2025-04-29."""
COUNTRIES = {"cairo": "EG", "berlin": "DE"}
"""Berlin follows the participant; study-wide digests go by Cairo, where Friday is no working day."""


def escalation(plans: list[PlanFrom], study_today: date | None) -> Step | None:
    """Returns the next step to the study as it is on 2025-05-02 in Berlin."""
    steps = ComingSteps(plans=plans, countries=COUNTRIES, study_today=study_today)
    return steps.find(Facts().occasion(VISIT, day("2025-05-02")), [], audiences=["study"])


@pytest.mark.parametrize(
    ("changes_on", "study_today", "sent_on"),
    [
        ("2025-05-19", None, "2025-05-20"),
        ("2025-05-21", None, "2025-05-21"),
        ("2025-05-21", day("2025-05-03"), "2025-05-20"),  # 05-21 is 05-20 in Berlin
        ("2025-05-23", None, "2025-05-25"),  # a Friday; Sunday is a working day in Cairo
    ],
)
def test_step_to_the_study_goes_by_the_plan_and_the_working_days_of_its_digest(
    changes_on: str, study_today: date | None, sent_on: str
) -> None:
    """The amendment lets the escalation come 21 days after the window instead of 60."""
    plans = [PlanFrom(date.min, ReminderPlan(escalate_after_days=60)), PlanFrom(day(changes_on), ReminderPlan())]
    assert escalation(plans, study_today) == Step(day(sent_on), "escalation", "study")


def test_earliest_step_of_both_audiences_comes_next() -> None:
    steps = ComingSteps(plans=[PlanFrom(date.min, ReminderPlan())], countries=COUNTRIES)
    assert steps.find(Facts().occasion(VISIT, day("2025-03-01")), []) == Step(day("2025-04-01"), "open", "site")


def test_visit_without_a_further_step_has_none() -> None:
    steps = ComingSteps(plans=[PlanFrom(date.min, ReminderPlan())], countries=COUNTRIES)
    assert steps.find(Facts(contacts=[day("2025-04-10")]).occasion(VISIT, day("2025-04-16")), []) is None
