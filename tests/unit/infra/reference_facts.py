"""Reads facts of the reference study in tests."""

from __future__ import annotations

from datetime import date
from typing import Any

from infra.reference.study import ReferenceFact
from infra.synthetic.enrollment_facts import clinical_date


def contents_of_type(facts: list[ReferenceFact], type_name: str) -> list[dict[str, Any]]:
    return [fact["data"] for fact in facts if fact["type"] == type_name]


def days(facts: list[ReferenceFact], type_name: str) -> list[date]:
    return [date.fromisoformat(clinical_date(fact)) for fact in facts if fact["type"] == type_name]
