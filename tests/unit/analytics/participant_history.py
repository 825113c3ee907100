"""A participant's story as analytics has it: the standing events of every service, told one after the other."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.analytics.queries import DataQuery, QueryWithStatus, derive_queries, queries_with_status
from services.analytics.queries.case import Case, build_cases
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.follow_up import DiseaseProgressed, FollowUpRecorded, ParticipantDied, QueryExplained, VisitMissed
from shared.contracts.study import StudyClosed
from shared.contracts.toxicity import SeriousEventReported, ToxicityAssessed
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record
from shared.testing.builders import facts

RECORDED_AT = datetime(2024, 2, 1, 9, tzinfo=UTC)
PARTICIPANT_ID = "K7F2-9QXA-3"
TODAY = date(2025, 1, 31)
SERVICES = {name: stream.service for stream in catalogue.STREAMS for name in stream.declared_facts}


def toxicity_assessment(
    on: facts.DateSpec = 0, timepoint: str = "follow_up", *findings: dict[str, Any], **changes: Any
) -> ToxicityAssessed:
    content = {"assessed_on": facts.day(on), "timepoint": timepoint, "findings": findings, "checklist_complete": True}
    return ToxicityAssessed.model_validate({**content, **changes})


def toxicity_finding(grade: int | None, term: str = "3.0:0150", **changes: Any) -> dict[str, Any]:
    reason = {"not_graded": "Not documented."} if grade is None else {}
    return {"term": term, "grade": grade, **reason, **changes}


def serious_event(aware_at: datetime = RECORDED_AT, grade: int = 3, **changes: Any) -> SeriousEventReported:
    content = {
        "serious_event_id": "SE1",
        "aware_at": aware_at,
        "term": "3.0:0150",
        "grade": grade,
        "onset_on": facts.day(),
        "seriousness": ["hospitalisation"],
        "narrative": "Admitted.",
        "outcome": "UNKNOWN",
    }
    return SeriousEventReported.model_validate({**content, **changes})


def follow_up_contact(on: facts.DateSpec = 0, **changes: Any) -> FollowUpRecorded:
    return FollowUpRecorded.model_validate({"seen_on": facts.day(on), "mode": "clinic", **changes})


def disease_status(
    *lesions: str, regional: str = "none", distant: str = "none", status: str = "progressed"
) -> dict[str, Any]:
    lesion_statuses = [{"lesion_id": name, "status": status, "basis": "imaging"} for name in lesions]
    return {"lesions": lesion_statuses, "regional": regional, "distant": distant}


def missed_visit(visit: int, on: facts.DateSpec = 0, **changes: Any) -> VisitMissed:
    content = {"visit": visit, "declared_on": facts.day(on), "reason_code": "too_ill"}
    return VisitMissed.model_validate({**content, **changes})


def disease_progression(on: facts.DateSpec = 0, kind: str = "local", **changes: Any) -> DiseaseProgressed:
    content = {"detected_on": facts.day(on), "kind": kind, "basis": "imaging"}
    return DiseaseProgressed.model_validate({**content, **({"lesion_id": "L1"} if kind == "local" else {}), **changes})


def participant_death(on: facts.DateSpec | None = 0, cause: str = "tumour", **changes: Any) -> ParticipantDied:
    return ParticipantDied.model_validate({"died_on": None if on is None else facts.day(on), "cause": cause, **changes})


def query_explanation(key: str) -> QueryExplained:
    return QueryExplained.model_validate({"query_key": key, "reason": "As it was."})


@dataclass
class ParticipantHistory:
    """`plan` changes the protocol. What is not told otherwise is recorded at nine on 1 February 2024, UTC."""

    plan: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    closed_on: date | None = None
    excluded: frozenset[str] = frozenset()

    def record(self, *facts_: Fact, recorded_at: datetime = RECORDED_AT) -> UUID:
        """The id of the last event."""
        for fact in facts_:
            service = SERVICES[fact.type_name]
            version = 1 + sum(event.service == service for event in self.events)
            data = fact.model_dump_json()
            self.events.append(
                Event("s", service, PARTICIPANT_ID, version, uuid4(), fact.type_name, 1, "rome", data, recorded_at)
            )
        return self.events[-1].event_id

    def correct(self, event_id: UUID, replacement: Fact) -> None:
        self.events = [
            replace(each, data=replacement.model_dump_json()) if each.event_id == event_id else each
            for each in self.events
        ]

    def void(self, event_id: UUID) -> None:
        self.events = [each for each in self.events if each.event_id != event_id]

    def cases(self, today: date = TODAY) -> list[Case]:
        study_facts: list[Fact] = [facts.study_opened(facts.protocol(**self.plan))]
        study_facts += [StudyClosed(on=self.closed_on)] if self.closed_on else []
        study = Record(tuple(StatedFact(uuid4(), fact) for fact in study_facts))
        return build_cases(study, self.events, self.excluded, lambda _: today)

    def queries(self, today: date = TODAY) -> list[DataQuery]:
        return [query for case in self.cases(today) for query in derive_queries(case)]

    def queries_with_status(self, today: date = TODAY) -> list[QueryWithStatus]:
        return [row for case in self.cases(today) for row in queries_with_status(case)]

    def queries_of_rule(self, rule: str, today: date = TODAY) -> list[DataQuery]:
        return [query for query in self.queries(today) if query.rule == rule]


def reordered(events: Sequence[Event], seed: int) -> list[Event]:
    """The same facts, as each service counts them when they are stated in another order."""
    reordered_events, versions = random.Random(seed).sample(events, len(events)), Counter[str]()  # noqa: S311 - a seeded shuffle
    for index, event in enumerate(reordered_events):
        versions[event.service] += 1
        reordered_events[index] = replace(event, version=versions[event.service])
    return reordered_events


def enrolled_participant(*facts_: Fact, **plan: Any) -> ParticipantHistory:
    """History of an enrolled participant with a baseline, without data queries, and the given facts."""
    history = ParticipantHistory(plan)
    history.record(*facts.ENROLLMENT_FACTS, facts.baseline_recorded(), *facts_)
    return history


def treated_participant(*facts_: Fact, **plan: Any) -> ParticipantHistory:
    """The same after an index course of 28 days from 1 February 2024, with toxicity assessed at its end.

    Visits are counted from 29 February 2024: visit 1 opens on 15 May, its slot ends on 14 August.
    """
    return enrolled_participant(
        facts.lesion_registered(),
        facts.radiotherapy_started(),
        facts.radiotherapy_completed(),
        toxicity_assessment(28, "end_of_rt"),
        *facts_,
        **plan,
    )


def day_after_start(days: int) -> date:
    return facts.START_DATE + timedelta(days=days)
