"""The follow-up status of participants in the participant flow."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.analytics.cohort.participation_status import FollowUpStatus
from services.analytics.snapshot.flow import CohortFlow
from services.analytics.snapshot.selection import Selection
from shared.kernel.fact import Fact
from shared.protocol.protocol import FollowUpPlan
from shared.protocol.schedule import PlanPeriod, planned_visits
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import ENROLLED, SCREENED, SIGNED, day_after_start, record_of, snapshot_of_events

ENROLLMENT = (SCREENED, SIGNED, ENROLLED)
ONE_DAY = timedelta(days=1)
TREATED = (*ENROLLMENT, facts.radiotherapy_started(), facts.radiotherapy_completed(28))
YEARS_LATER = date(2027, 1, 1)


def status(stated: tuple[Fact, ...], until: date, **plan: Any) -> FollowUpStatus:
    """Returns the status of an enrolled participant on a day. `plan`: members of the follow-up plan."""
    study = record_of(facts.study_opened(facts.protocol(follow_up=plan)))
    flow = CohortFlow.from_snapshot(snapshot_of_events(participant_events(stated), study), Selection(until))
    (name,) = [name for name, mask in flow.statuses.items() if mask.any()]
    return name


def test_status_counts_facts_until_the_day_only() -> None:
    died = (*ENROLLMENT, follow_up.participant_died(70))
    assert status(died, day_after_start(69)) == "awaiting_treatment"
    assert status(died, day_after_start(70)) == "died"


def test_death_outweighs_withdrawal_and_withdrawal_outweighs_loss() -> None:
    lost, withdrawn, died = follow_up.lost_to_follow_up(50), facts.consent_withdrawn(60), follow_up.participant_died(70)
    stated = (*TREATED, lost, withdrawn, died)
    days = {"in_follow_up": 49, "lost": 59, "withdrawn": 69, "died": 70}
    assert {name: status(stated, day_after_start(day)) for name, day in days.items()} == {name: name for name in days}


def test_follow_up_is_completed_once_the_slot_of_the_last_visit_has_ended() -> None:
    assert status(TREATED, date(2024, 6, 1)) == "in_follow_up"
    assert status(TREATED, YEARS_LATER) == "completed"
    assert status(ENROLLMENT, YEARS_LATER) == "awaiting_treatment"


@pytest.mark.parametrize(
    ("policy", "expected"), [("index", "completed"), ("latest", "in_follow_up"), ("per_course", "in_follow_up")]
)
def test_later_course_prolongs_follow_up_by_policies_that_count_from_it(policy: str, expected: str) -> None:
    later_course = (facts.radiotherapy_started(300, "C2", index=False), facts.radiotherapy_completed(310, "C2"))
    plans = (PlanPeriod(FollowUpPlan.model_validate({"anchor_policy": policy})),)
    end = planned_visits(plans, day_after_start(28))[-1].slot_ends
    assert status((*TREATED, *later_course), end + ONE_DAY, anchor_policy=policy) == expected
    assert status((*TREATED, *later_course), end + timedelta(days=400), anchor_policy=policy) == "completed"


def test_schedule_of_a_later_course_completes_no_follow_up_while_the_index_course_goes_on() -> None:
    later_course = (facts.radiotherapy_started(5, "C2", index=False), facts.radiotherapy_completed(10, "C2"))
    stated = (*ENROLLMENT, facts.radiotherapy_started(), *later_course)
    assert status(stated, YEARS_LATER, anchor_policy="per_course") == "in_follow_up"
