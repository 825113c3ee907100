"""Participation status: one vocabulary for lists, timelines and the participant flow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, get_args

import pytest

from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participation_status import (
    FollowUpStatus,
    participation_status,
)
from services.analytics.wording.participation_status import PARTICIPATION_STATUS_LABELS
from shared.contracts.participation import ParticipationStatus, enrollment_status
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.support import ENROLLED, SCREENED, SIGNED, record_of

YEARS_LATER = date(2027, 1, 1)


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
