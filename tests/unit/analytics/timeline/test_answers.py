"""The `.json` answer of a timeline: its schema in OpenAPI, and its members."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from services.analytics.timeline.answers import TimelineAnswer
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import TODAY, timeline_json


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_answer_matches_its_schema_and_has_the_members_of_its_facts(number: int) -> None:
    schema = TypeAdapter(TimelineAnswer).json_schema(mode="serialization")
    timeline = timeline_json(published_case_events(number), TODAY)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(timeline)] == []
    assert timeline["recorded_at"] == "2024-02-01T09:00:00+00:00"
    recorded_at = {str(event.event_id): event.recorded_at.isoformat() for event in published_case_events(number)}
    assert {entry["event_id"]: entry["recorded_at"] for entry in timeline["entries"]} == recorded_at
    assert [entry["type"] for entry in timeline["entries"] if "findings" in entry] == [
        entry["type"] for entry in timeline["entries"] if entry["type"] == "toxicity.assessed"
    ]
