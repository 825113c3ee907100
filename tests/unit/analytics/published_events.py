"""Facts of participants as the events that analytics reads, among them the four published cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from infra.reference import published_cases
from infra.reference.study import OPENING_DATA, STUDY_ID
from services.analytics.cohort.cohort import Cohort, build_cohort
from services.analytics.timeline.answers import TimelineAnswer
from services.analytics.timeline.entries import TimelineContext, assemble_timeline
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
    """Every fact of a published case in the reference file, from all services."""
    (published_case,) = [each for each in published_cases.cases() if each["case"] == number]
    return make_events(
        f"CASE-{number}", [read_fact(stated) for stated in (*published_case["facts"], *published_case["later"])]
    )


def build_test_cohort(events_: Iterable[Event]) -> Cohort:
    return build_cohort(STUDY, events_, frozenset(), RECORDED_AT.date())


def timeline_at(
    events: Sequence[Event], today: date, known_until: date | None = None, **options: Any
) -> TimelineAnswer:
    """The timeline at position 412; without `known_until`, dates are imputed up to today."""
    context = TimelineContext(position=412, recorded_at=RECORDED_AT, today=today, known_until=known_until or today)
    return assemble_timeline(events, context, **options)


def timeline_json(
    events: Sequence[Event],
    today: date,
    term_names: Mapping[str, str] | None = None,
    corrected_ids: Collection[UUID] = (),
    known_until: date | None = None,
) -> dict[str, Any]:
    """The `.json` answer of the timeline."""
    options = {"term_names": term_names, "corrected_ids": corrected_ids}
    return dict(timeline_at(events, today, known_until, **options).to_json())
