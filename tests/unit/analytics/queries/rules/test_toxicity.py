"""Data queries about toxicity and serious adverse events."""

from __future__ import annotations

from datetime import timedelta

from shared.testing.builders.toxicity_facts import serious_event_reported, serious_event_updated
from tests.unit.analytics.support import RECORDED_AT, treated_participant


def test_latest_awareness_decides_a_serious_event_in_any_reporting_order() -> None:
    day_later = serious_event_updated(aware_at=RECORDED_AT + timedelta(days=1), grade=4)
    for updates in (
        (serious_event_updated(aware_at=RECORDED_AT, grade=5), day_later),
        (day_later, serious_event_updated(aware_at=RECORDED_AT, grade=5)),
    ):
        assert treated_participant(serious_event_reported(), *updates).queries_of_rule("grade_5_without_death") == []
    assert (
        len(
            treated_participant(
                serious_event_reported(),
                day_later,
                serious_event_updated(aware_at=RECORDED_AT + timedelta(days=2), grade=5),
            ).queries()
        )
        == 1
    )
