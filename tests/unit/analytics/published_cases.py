"""The four published cases of the reference file, as facts and as the events that analytics reads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from infra.reference import published_cases
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.kernel.fact import Fact
from shared.testing.builders.participant_history import participant_events

CASE_NUMBERS = (1, 2, 3, 4)


def published_case_facts(number: int, site: str = "rome") -> list[Fact]:
    """Returns every fact of a published case, from all services; the site screens the participant."""
    (published_case,) = [case for case in published_cases.cases() if case["case"] == number]
    screening, *later_facts = published_case["facts"]
    screening_at_site = {**screening, "data": {**screening["data"], "site_id": site}}
    return [_read_fact(stated) for stated in (screening_at_site, *later_facts, *published_case["later"])]


def _read_fact(stated: Mapping[str, Any]) -> Fact:
    service = stated.get("service", "enrollment")
    return catalogue.fact_class(service, stated["type"]).model_validate(stated["data"])


@cache
def published_case_events(number: int) -> tuple[Event, ...]:
    """Returns the events of a published case. Their ids are the same at every call."""
    return tuple(participant_events(published_case_facts(number), f"CASE-{number}"))
