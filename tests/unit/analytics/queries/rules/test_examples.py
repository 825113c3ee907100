"""Every rule finds a question in its examples, and none in the examples of consistent facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.analytics.queries.case import RULES
from tests.unit.analytics.queries.rules import (
    follow_up_examples,
    toxicity_examples,
    treatment_examples,
    vital_status_examples,
)
from tests.unit.analytics.support import QueriedHistory, RuleExample

EXAMPLE_MODULES = (toxicity_examples, vital_status_examples, treatment_examples, follow_up_examples)
WITH_QUERY = [example for module in EXAMPLE_MODULES for example in module.WITH_QUERY]
WITHOUT_QUERY = [example for module in EXAMPLE_MODULES for example in module.WITHOUT_QUERY]


def parametrize_examples(examples: list[RuleExample]) -> list[Any]:
    return [pytest.param(rule, history, id=f"{rule}-{index}") for index, (rule, history) in enumerate(examples)]


@pytest.mark.parametrize(("rule", "history"), parametrize_examples(WITH_QUERY))
def test_contradiction_opens_a_query(rule: str, history: QueriedHistory) -> None:
    (query,) = history.queries_of_rule(rule)
    assert set(query.event_ids) <= {event.event_id for event in history.events}
    assert query.text.endswith((".", "?"))
    assert query.text[0].isupper()


@pytest.mark.parametrize(("rule", "history"), parametrize_examples(WITHOUT_QUERY))
def test_consistent_facts_open_no_query(rule: str, history: QueriedHistory) -> None:
    assert history.queries_of_rule(rule) == []


def test_every_rule_has_an_opening_example_and_a_docstring() -> None:
    assert {rule for rule, _ in WITH_QUERY} | {"missing_baseline"} == RULES.keys()
    assert all(rule.__doc__ for rule in RULES.values())


@pytest.mark.parametrize(("rule", "history"), parametrize_examples(WITH_QUERY))
def test_query_closes_when_its_facts_are_removed(rule: str, history: QueriedHistory) -> None:
    (query,) = history.queries_of_rule(rule)
    remaining_events = [event for event in history.events if event.event_id not in query.event_ids]
    remaining_history = replace(history, events=remaining_events)
    assert query.key not in {remaining_query.key for remaining_query in remaining_history.queries()}
