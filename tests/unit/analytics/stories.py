"""A participant's story as analytics has it: the standing events of every service, told one after the other."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.analytics.queries import Listed, Query, listed, queries
from services.analytics.queries.case import Case, cases
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.followup import Died, FollowUpRecorded, Progressed, QueryExplained, VisitMissed
from shared.contracts.study import Closed
from shared.contracts.toxicity import Assessed, SeriousEventReported
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Record
from shared.testing import facts

TOLD = datetime(2024, 2, 1, 9, tzinfo=UTC)
WHO = "K7F2-9QXA-3"
TODAY = date(2025, 1, 31)
SERVICES = {name: stream.service for stream in catalogue.STREAMS for name in stream.declared}


def assessed(on: facts.When = 0, timepoint: str = "follow_up", *findings: dict[str, Any], **changes: Any) -> Assessed:
    said = {"assessed_on": facts.day(on), "timepoint": timepoint, "findings": findings, "checklist_complete": True}
    return Assessed.model_validate({**said, **changes})


def finding(grade: int | None, term: str = "3.0:0150", **changes: Any) -> dict[str, Any]:
    reason = {"not_graded": "Not documented."} if grade is None else {}
    return {"term": term, "grade": grade, **reason, **changes}


def serious(aware_at: datetime = TOLD, grade: int = 3, **changes: Any) -> SeriousEventReported:
    said = {
        "serious_event_id": "SE1", "aware_at": aware_at, "term": "3.0:0150", "grade": grade, "onset_on": facts.day(),
        "seriousness": ["hospitalisation"], "narrative": "Admitted.", "outcome": "UNKNOWN",
    }  # fmt: skip
    return SeriousEventReported.model_validate({**said, **changes})


def contact(on: facts.When = 0, **changes: Any) -> FollowUpRecorded:
    return FollowUpRecorded.model_validate({"seen_on": facts.day(on), "mode": "clinic", **changes})


def seen(*lesions: str, regional: str = "none", distant: str = "none", status: str = "progressed") -> dict[str, Any]:
    looked_at = [{"lesion_id": name, "status": status, "basis": "imaging"} for name in lesions]
    return {"lesions": looked_at, "regional": regional, "distant": distant}


def missed(visit: int, on: facts.When = 0, **changes: Any) -> VisitMissed:
    said = {"visit": visit, "declared_on": facts.day(on), "reason_code": "too_ill"}
    return VisitMissed.model_validate({**said, **changes})


def progressed(on: facts.When = 0, kind: str = "local", **changes: Any) -> Progressed:
    said = {"detected_on": facts.day(on), "kind": kind, "basis": "imaging"}
    return Progressed.model_validate({**said, **({"lesion_id": "L1"} if kind == "local" else {}), **changes})


def died(on: facts.When | None = 0, cause: str = "tumour", **changes: Any) -> Died:
    return Died.model_validate({"died_on": None if on is None else facts.day(on), "cause": cause, **changes})


def explained(key: str) -> QueryExplained:
    return QueryExplained.model_validate({"query_key": key, "reason": "As it was."})


@dataclass
class Story:
    """`plan` changes the protocol. What is not told otherwise is recorded at nine on 1 February 2024, UTC."""

    plan: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    closed_on: date | None = None
    out: frozenset[str] = frozenset()

    def tell(self, *facts_: Fact, at: datetime = TOLD) -> UUID:
        """The id of the last event."""
        for fact in facts_:
            service = SERVICES[fact.type_name]
            version = 1 + sum(event.service == service for event in self.events)
            data = fact.model_dump_json()
            self.events.append(
                Event("s", service, WHO, version, uuid4(), fact.type_name, 1, "rome", data, at)
            )  # fmt: skip
        return self.events[-1].event_id

    def restate(self, told: UUID, fact: Fact) -> None:
        self.events = [
            replace(each, data=fact.model_dump_json()) if each.event_id == told else each for each in self.events
        ]

    def void(self, told: UUID) -> None:
        self.events = [each for each in self.events if each.event_id != told]

    def cases(self, today: date = TODAY) -> list[Case]:
        told: list[Fact] = [facts.opened(facts.protocol(**self.plan))]
        told += [Closed(on=self.closed_on)] if self.closed_on else []
        study = Record(tuple(Stated(uuid4(), fact) for fact in told))
        return cases(study, self.events, self.out, lambda _: today)

    def queries(self, today: date = TODAY) -> list[Query]:
        return [query for case in self.cases(today) for query in queries(case)]

    def listed(self, today: date = TODAY) -> list[Listed]:
        return [row for case in self.cases(today) for row in listed(case)]

    def asked(self, rule: str, today: date = TODAY) -> list[Query]:
        return [query for query in self.queries(today) if query.rule == rule]


def stated_anew(events: Sequence[Event], seed: int) -> list[Event]:
    """The same facts, as each service counts them when they are stated in another order."""
    again, counted = random.Random(seed).sample(events, len(events)), Counter[str]()  # noqa: S311 - a seeded shuffle
    for place, event in enumerate(again):
        counted[event.service] += 1
        again[place] = replace(event, version=counted[event.service])
    return again


def story(*told: Fact, **plan: Any) -> Story:
    """Of somebody enrolled, with a baseline, about whom nothing is to be asked; and what else is told."""
    made = Story(plan)
    made.tell(*facts.ON_STUDY, facts.baseline(), *told)
    return made


def treated(*told: Fact, **plan: Any) -> Story:
    """The same after an index course of 28 days from 1 February 2024, with toxicity assessed at its end.

    Visits are counted from 29 February 2024: visit 1 opens on 15 May, its slot ends on 14 August.
    """
    return story(facts.lesion(), facts.course(), facts.completed(), assessed(28, "end_of_rt"), *told, **plan)


def day(after: int) -> date:
    return facts.START + timedelta(days=after)
