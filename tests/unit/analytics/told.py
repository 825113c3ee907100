"""What is stated of participants, as the events that analytics reads; the four published cases among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from infra.reference import published
from infra.reference.study import OPENED, STUDY_ID
from services.analytics.cohort import Cohort, cohort
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import Opened
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Record

RECORDED = datetime(2025, 1, 31, 12, tzinfo=UTC)
CASES = (1, 2, 3, 4)
STUDY = Record((Stated(uuid5(NAMESPACE_OID, "opened"), Opened.model_validate(OPENED)),))


def event(participant: str, version: int, fact: Fact, site: str = "rome") -> Event:
    service = next(each.service for each in catalogue.STREAMS if fact.type_name in each.declared)
    number = uuid5(NAMESPACE_OID, f"{participant}/{service}/{version}")
    return Event(
        STUDY_ID, service, participant, version, number, fact.type_name, fact.schema_version, site,
        fact.model_dump_json(), RECORDED,
    )  # fmt: skip


def events(participant: str, facts: Iterable[Fact]) -> list[Event]:
    """Each service counts its own versions."""
    counted: dict[str, int] = {}
    made = []
    for fact in facts:
        service = next(each.service for each in catalogue.STREAMS if fact.type_name in each.declared)
        counted[service] = counted.get(service, 0) + 1
        made.append(event(participant, counted[service], fact))
    return made


def read(stated: Mapping[str, Any]) -> Fact:
    service = stated.get("service", "enrollment")
    return catalogue.fact_class(service, stated["type"]).model_validate(stated["data"])


def case(number: int) -> list[Event]:
    """Everything that the reference file states of a published case, from all services."""
    (told,) = [each for each in published.cases() if each["case"] == number]
    return events(f"CASE-{number}", [read(stated) for stated in (*told["facts"], *told["later"])])


def cohort_of(told: Iterable[Event]) -> Cohort:
    return cohort(STUDY, told, frozenset(), RECORDED.date())
