"""The worklist follows facts that are recorded through the API: a death, its void, and a transfer."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from tests.api.support.study import StudyUnderTest, body, open_study
from tests.demo import Demo

OVERDUE_DAY = facts.day(28 + 110)
"""A day on which the first visit after a course that ended on day 28 is overdue."""


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def listed(study: StudyUnderTest, user: str = "coordinator") -> list[tuple[str, str]]:
    """Returns the participants in the list once analytics has everything, with the states of their visits."""
    study.wait_for_analytics()
    rows = study.get_analytics("worklist.json", user, on=OVERDUE_DAY).json()["rows"]
    return [(row["participant_id"], row["state"]) for row in rows]


def test_participant_leaves_the_list_by_death_and_comes_back_when_it_is_voided(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome", facts.radiotherapy_started(), facts.radiotherapy_completed())
    study.wait_until_known(participant_id)
    assert listed(study) == listed(study, "site@rome") == [(participant_id, "overdue")]
    assert listed(study, "coordinator@milan") == []
    death = study.record_fact(participant_id, followup.participant_died(100))
    assert death.status_code == 201
    assert listed(study) == []
    void = body(facts.correction(UUID(death.json()["event_id"]), None))
    address = study.address(f"participants/{participant_id}/facts/record.corrected", "followup")
    assert study.send(address, void).status_code == 201
    assert listed(study) == [(participant_id, "overdue")]
    assert study.record_fact(participant_id, facts.participant_transferred("milan", 110)).status_code == 201
    assert listed(study, "site@rome") == []
    assert listed(study, "site@milan") == [(participant_id, "overdue")]
