"""Events of participants as analytics reads them, among them the four published cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from infra.reference import published_cases
from infra.reference.study import OPENING_DATA, STUDY_ID
from services.analytics.cohort.cohort import Cohort, build_cohort
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import StudyOpened
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record

RECORDED_AT = datetime(2025, 1, 31, 12, tzinfo=UTC)
CASE_NUMBERS = (1, 2, 3, 4)
STUDY = Record((StatedFact(uuid5(NAMESPACE_OID, "opened"), StudyOpened.model_validate(OPENING_DATA)),))


def make_event(participant: str, version: int, fact: Fact, site: str = "rome") -> Event:
    service = next(each.service for each in catalogue.STREAMS if fact.type_name in each.declared_facts)
    number = uuid5(NAMESPACE_OID, f"{participant}/{service}/{version}")
    return Event(
        STUDY_ID,
        service,
        participant,
        version,
        number,
        fact.type_name,
        fact.schema_version,
        site,
        fact.model_dump_json(),
        RECORDED_AT,
    )


def make_events(participant: str, facts: Iterable[Fact]) -> list[Event]:
    """Each service counts its own versions."""
    versions: dict[str, int] = {}
    events_made = []
    for fact in facts:
        service = next(each.service for each in catalogue.STREAMS if fact.type_name in each.declared_facts)
        versions[service] = versions.get(service, 0) + 1
        events_made.append(make_event(participant, versions[service], fact))
    return events_made


def read_fact(stated_fact: Mapping[str, Any]) -> Fact:
    service = stated_fact.get("service", "enrollment")
    return catalogue.fact_class(service, stated_fact["type"]).model_validate(stated_fact["data"])


def published_case_events(number: int) -> list[Event]:
    """Everything that the reference file states of a published case, from all services."""
    (published_case,) = [each for each in published_cases.cases() if each["case"] == number]
    return make_events(
        f"CASE-{number}", [read_fact(stated) for stated in (*published_case["facts"], *published_case["later"])]
    )


def build_test_cohort(events_: Iterable[Event]) -> Cohort:
    return build_cohort(STUDY, events_, frozenset(), RECORDED_AT.date())
