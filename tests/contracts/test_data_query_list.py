"""The page of data query rules equals what the rules generate."""

from __future__ import annotations

from services.analytics.queries.case import RULES
from tests.contracts.data_query_list import PAGE, page_text


def test_page_of_data_query_rules_is_generated_from_the_rules() -> None:
    assert PAGE.read_text("utf-8") == page_text(), "run `make contracts`"


def test_page_lists_every_rule_with_a_sentence() -> None:
    lines = page_text().splitlines()
    for name in RULES:
        assert any(line.startswith(f"- `{name}`: Asks ") and line.endswith(".") for line in lines), name
