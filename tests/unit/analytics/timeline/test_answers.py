"""The `.json` answer of a timeline: its schema in OpenAPI, and its members."""

from __future__ import annotations

from datetime import date

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from services.analytics.timeline.answers import TimelineAnswer
from tests.unit.analytics.published_events import CASE_NUMBERS, published_case_events, timeline_json

TODAY = date(2025, 1, 31)


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_answer_matches_its_schema_and_has_the_members_of_its_facts(number: int) -> None:
    schema = TypeAdapter(TimelineAnswer).json_schema(mode="serialization")
    answer = timeline_json(published_case_events(number), TODAY)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(answer)] == []
    assert answer["recorded_at"] == answer["entries"][0]["recorded_at"] == "2025-01-31T12:00:00+00:00"
    assert [entry["type"] for entry in answer["entries"] if "findings" in entry] == [
        entry["type"] for entry in answer["entries"] if entry["type"] == "toxicity.assessed"
    ]
