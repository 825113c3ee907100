"""The day that the template of a data cut suggests."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from infra.exchange.template import suggest_cut_day

OPENED = ("study.opened", {"protocol": {"follow_up": {"every_months": 3}}})
FOR_6_MONTHS = {"every_months": 6, "window_days": {"before": 14, "after": 30}}
AMENDED = ("study.protocol_amended", {"effective_on": "2025-01-01", "protocol": {"follow_up": FOR_6_MONTHS}})


@pytest.mark.parametrize(
    ("facts", "today", "suggestion"),
    [
        ([OPENED], date(2025, 1, 31), date(2024, 10, 17)),
        ([OPENED, AMENDED], date(2024, 12, 31), date(2024, 9, 16)),
        ([OPENED, AMENDED], date(2025, 1, 31), date(2024, 7, 1)),
        ([], date(2025, 1, 31), None),
    ],
)
def test_data_cut_is_suggested_by_the_plan_in_force_today(
    facts: list[tuple[str, dict[str, Any]]], today: date, suggestion: date | None
) -> None:
    assert suggest_cut_day(facts, today) == suggestion
