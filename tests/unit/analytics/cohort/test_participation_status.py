"""Participation status: one vocabulary for lists, timelines and the participant flow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, get_args

import pytest

from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participation_status import (
    FollowUpStatus,
    follow_up_status,
    participation_status,
)
from services.analytics.wording.participation_status import PARTICIPATION_STATUS_LABELS
from shared.contracts.participation import ParticipationStatus, enrollment_status
from shared.kernel.fact import Fact
from shared.protocol.protocol import FollowUpPlan
from shared.protocol.schedule import PlanPeriod, planned_visits
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.support import ENROLLED, SCREENED, SIGNED, record_of

PLANS = (PlanPeriod(facts.protocol().follow_up),)
ONE_DAY = timedelta(days=1)
TREATED = (facts.radiotherapy_started(), facts.radiotherapy_completed())
YEARS_LATER = date(2027, 1, 1)


def plans_of(**members: str) -> tuple[PlanPeriod, ...]:
    return (PlanPeriod(FollowUpPlan.model_validate(members)),)


def participant(*stated: Fact) -> Participant:
    record = record_of(*stated)
    known_on = {stated.event_id: YEARS_LATER for stated in record.stated_facts}
    return Participant(participant_id="P", record=record, known_on=known_on)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ([SCREENED], "screening"),
        ([SCREENED, facts.screening_failed()], "screen_failed"),
        ([SCREENED, SIGNED], "consented"),
        ([SCREENED, SIGNED, ENROLLED], "enrolled"),
        ([SCREENED, SIGNED, ENROLLED, facts.consent_withdrawn(9)], "withdrawn"),
    ],
)
def test_enrollment_and_analytics_name_each_milestone_alike(stated: list[Fact], expected: str) -> None:
    assert participation_status(participant(*stated)) == expected == enrollment_status(record_of(*stated))


def test_death_outweighs_withdrawal_and_withdrawal_outweighs_loss() -> None:
    lost, withdrawn, died = follow_up.lost_to_follow_up(50), facts.consent_withdrawn(60), follow_up.participant_died(70)
    enrolled = (SCREENED, SIGNED, ENROLLED)
    assert participation_status(participant(*enrolled, lost)) == "lost"
    assert participation_status(participant(*enrolled, lost, withdrawn)) == "withdrawn"
    assert participation_status(participant(*enrolled, lost, withdrawn, died)) == "died"
    assert participation_status(participant(*enrolled, lost, follow_up.follow_up_resumed(55))) == "enrolled"


def test_status_counts_facts_until_the_day_only() -> None:
    died = participant(SCREENED, SIGNED, ENROLLED, follow_up.participant_died(70))
    assert participation_status(died, facts.START_DATE) == "enrolled"
    assert follow_up_status(died, PLANS, facts.START_DATE) == "awaiting_treatment"


def test_follow_up_is_completed_once_the_slot_of_the_last_visit_has_ended() -> None:
    treated = participant(SCREENED, SIGNED, ENROLLED, *TREATED)
    assert follow_up_status(treated, PLANS, date(2024, 6, 1)) == "in_follow_up"
    assert follow_up_status(treated, PLANS, YEARS_LATER) == "completed"
    assert follow_up_status(participant(SCREENED, SIGNED, ENROLLED), PLANS, YEARS_LATER) == "awaiting_treatment"


@pytest.mark.parametrize(
    ("policy", "status"), [("index", "completed"), ("latest", "in_follow_up"), ("per_course", "in_follow_up")]
)
def test_later_course_prolongs_follow_up_by_policies_that_count_from_it(policy: str, status: str) -> None:
    later_course = (facts.radiotherapy_started(300, "C2", index=False), facts.radiotherapy_completed(310, "C2"))
    treated = participant(SCREENED, SIGNED, ENROLLED, *TREATED, *later_course)
    plans = plans_of(anchor_policy=policy)
    end = planned_visits(plans, treated.day(TREATED[1]))[-1].slot_ends
    assert follow_up_status(treated, plans, end + ONE_DAY) == status
    assert follow_up_status(treated, plans, end + timedelta(days=400)) == "completed"


def test_schedule_of_a_later_course_completes_no_follow_up_while_the_index_course_goes_on() -> None:
    later_course = (facts.radiotherapy_started(5, "C2", index=False), facts.radiotherapy_completed(10, "C2"))
    treated = participant(SCREENED, SIGNED, ENROLLED, TREATED[0], *later_course)
    assert follow_up_status(treated, plans_of(anchor_policy="per_course"), YEARS_LATER) == "in_follow_up"


def test_every_status_has_one_label() -> None:
    statuses = {*literal_values(ParticipationStatus), *literal_values(FollowUpStatus)}
    assert set(PARTICIPATION_STATUS_LABELS) == statuses
    assert len(set(PARTICIPATION_STATUS_LABELS.values())) == len(statuses)


def literal_values(annotation: Any) -> Iterator[str]:
    """The values of a literal, or of a union of literals."""
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from literal_values(part)
