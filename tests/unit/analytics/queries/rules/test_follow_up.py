"""Data queries about visits, contacts and progressions."""

from __future__ import annotations

from datetime import date

from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import disease_status, follow_up_recorded, vital_status_confirmed
from shared.testing.builders.toxicity_facts import toxicity_assessed
from tests.unit.analytics.support import VISIT_1, VISIT_2, enrolled_participant, treated_participant


def test_consistent_history_has_no_queries() -> None:
    history = treated_participant(
        follow_up_recorded(VISIT_1, visit=1),
        toxicity_assessed(VISIT_1, visit=1, course_id="RT1"),
        follow_up_recorded(VISIT_2),
        vital_status_confirmed(300),
    )
    assert history.queries() == []


def test_corrected_course_end_opens_queries_about_visits_outside_their_slot() -> None:
    history = enrolled_participant(facts.radiotherapy_started("2025-01-01"), toxicity_assessed("2025-01-10"))
    end = history.record(facts.radiotherapy_completed("2025-01-10"))
    history.record(follow_up_recorded("2025-04-05", visit=1))
    later = date(2025, 5, 20)
    assert history.queries_of_rule("visit_slot_conflict", later) == []
    history.correct(end, facts.radiotherapy_completed("2025-02-10"))
    (query,) = history.queries_of_rule("visit_slot_conflict", later)
    assert "before the first visit" in query.text


def test_per_course_schedule_is_anchored_at_the_named_course() -> None:
    plan = {"follow_up": {"anchor_policy": "per_course"}}
    second = (
        facts.radiotherapy_started(200, "RT2", index=False),
        facts.radiotherapy_completed(210, "RT2"),
        follow_up_recorded(300, visit=1, course_id="RT2"),
    )
    assert treated_participant(*second, **plan).queries_of_rule("visit_slot_conflict") == []
    assert len(treated_participant(*second).queries_of_rule("visit_slot_conflict")) == 1


def test_visits_of_the_policy_latest_are_counted_from_the_later_course_once_it_has_ended() -> None:
    plan = {"follow_up": {"anchor_policy": "latest"}}
    second = (
        facts.radiotherapy_started("2024-07-01", "RT2", index=False),
        facts.radiotherapy_completed("2024-07-10", "RT2"),
    )
    within_the_second_visit_from_the_index_course = follow_up_recorded(VISIT_2, visit=2)
    first_course_only = treated_participant(within_the_second_visit_from_the_index_course, **plan)
    assert first_course_only.queries_of_rule("visit_slot_conflict") == []
    (query,) = treated_participant(*second, within_the_second_visit_from_the_index_course, **plan).queries_of_rule(
        "visit_slot_conflict"
    )
    assert "its date belongs to visit 1" in query.text
    moved = follow_up_recorded("2024-10-10", visit=2)
    assert treated_participant(*second, moved, **plan).queries_of_rule("visit_slot_conflict") == []


def test_each_progressed_lesion_has_its_own_query() -> None:
    history = treated_participant(
        facts.lesion_registered("L2"),
        follow_up_recorded(VISIT_1, disease=disease_status("L1", "L2", status="progressed")),
    )
    assert len({query.key for query in history.queries_of_rule("local_progression_not_stated")}) == 2
