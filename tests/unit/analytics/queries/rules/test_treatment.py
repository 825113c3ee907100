"""Data queries about courses and what belongs to them: the days on which they open."""

from __future__ import annotations

from collections.abc import Callable

from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import (
    follow_up_recorded,
    follow_up_resumed,
    lost_to_follow_up,
    participant_died,
)
from tests.unit.analytics.support import RECORDED_AT, TODAY, QueriedHistory, day_after_start, enrolled_participant


def test_query_with_a_deadline_opens_and_is_dated_on_the_day_after() -> None:
    opens: list[tuple[str, Callable[[], QueriedHistory], int]] = [
        ("course_without_end", lambda: enrolled_participant(facts.radiotherapy_started()), 121),
        (
            "no_assessment_after_index_course",
            lambda: enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed()),
            133,
        ),
    ]
    for rule, build_history, first in opens:
        history = build_history()
        history.known_on = None
        assert history.queries_of_rule(rule, day_after_start(first - 1)) == []
        (query,) = history.queries_of_rule(rule, day_after_start(first))
        assert query.since == day_after_start(first)


def test_baseline_is_missing_14_days_after_enrollment_or_at_treatment_start() -> None:
    waiting = QueriedHistory(recorded_at=RECORDED_AT, known_on=None)
    waiting.record(*facts.ENROLLMENT_FACTS)
    assert waiting.queries_of_rule("missing_baseline", day_after_start(13)) == []
    (query,) = waiting.queries_of_rule("missing_baseline", day_after_start(14))
    waiting.record(facts.radiotherapy_started(3))
    (earlier,) = waiting.queries_of_rule("missing_baseline", day_after_start(3))
    assert (earlier.key, query.since, earlier.since) == (query.key, day_after_start(14), day_after_start(3))
    waiting.record(facts.baseline_recorded())
    assert waiting.queries_of_rule("missing_baseline") == []


def test_query_about_a_partial_date_names_the_imputed_day() -> None:
    history = enrolled_participant(
        facts.radiotherapy_started("2024-03-20"),
        facts.radiotherapy_completed("2024-03"),
        follow_up_recorded("2024-11-20"),
        participant_died("2024-11"),
    )
    (end,), (death,) = (
        history.queries_of_rule("imprecise_course_end"),
        history.queries_of_rule("imprecise_end_of_follow_up"),
    )
    assert "has a partial date (2024-03). Visits are counted from 2024-03-20." in end.text
    assert death.text == ("The death of 2024-11 has a partial date. Analyses use 2024-11-20. What is the exact date?")


def test_closed_study_no_longer_waits_for_an_assessment() -> None:
    history = enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed())
    history.closed_on = day_after_start(60)
    assert history.queries_of_rule("no_assessment_after_index_course") == []
    resumed_again = enrolled_participant(
        facts.radiotherapy_started(), facts.radiotherapy_completed(), lost_to_follow_up(60), follow_up_resumed(90)
    )
    assert len(resumed_again.queries_of_rule("no_assessment_after_index_course", TODAY)) == 1
