"""Histories of participants with the cohorts and data queries that analytics derives from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participants import participants_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.queries.case import Case, build_case
from services.analytics.queries.derive import DataQuery, QueryWithStatus, queries_with_status
from services.analytics.snapshot.derived_snapshot import StudyFacts, derive_snapshot
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.timeline.answers import TimelineAnswer
from services.analytics.timeline.entries import TimelineContext, assemble_timeline
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record
from shared.testing.builders import facts
from shared.testing.builders.participant_history import KNOWN_ON, ParticipantHistory, participant_events
from shared.testing.builders.toxicity_facts import toxicity_assessed

RECORDED_AT = datetime(2024, 2, 1, 9, tzinfo=UTC)
TODAY = date(2025, 1, 31)
VISIT_1, VISIT_2 = 110, 200
"""Days within the slots of visits 1 and 2 of a treated participant."""


def record_of(*facts_: Fact) -> Record:
    return Record(tuple(StatedFact(uuid4(), fact) for fact in facts_))


STUDY_OPENED = facts.study_opened(facts.protocol(accrual_target={"participants": 10, "by": "2025-12-31"}))
STUDY = record_of(STUDY_OPENED)
SCREENED, SIGNED, ENROLLED = facts.ENROLLMENT_FACTS


def day_after_start(days: int) -> date:
    return facts.START_DATE + timedelta(days=days)


def single_fraction(delivery: str, *lesions: str, cgy: int = 2000) -> dict[str, Any]:
    """Returns a target that is treated in one fraction of so many centigray."""
    return facts.target("T1", *lesions, fractions=1, cgy_per_fraction=cgy, delivery=delivery)


def snapshot_of_events(
    events: Iterable[Event],
    study: Record = STUDY,
    *,
    excluded: Collection[str] = (),
) -> StudySnapshot:
    """Returns the snapshot of a study with these events of participants."""
    return derive_snapshot(
        StudyFacts(
            study_id="s",
            position=412,
            recorded_at=RECORDED_AT,
            study=study,
            events=events,
            excluded=frozenset(excluded),
        )
    )


def snapshot_of(facts_by_participant: Mapping[str, Sequence[Fact]], *, excluded: Collection[str] = ()) -> StudySnapshot:
    """Returns the snapshot of participants with these facts as of TODAY."""
    events = [
        event
        for participant_id, facts_ in facts_by_participant.items()
        for event in participant_events(facts_, participant_id)
    ]
    return snapshot_of_events(events, excluded=excluded)


def build_cases(study: Record, events: Sequence[Event], excluded: frozenset[str] = frozenset()) -> list[Case]:
    """Returns the cases of the screened participants that are not excluded, in the order of their ids."""
    plans = StudyPlans.from_record(study)
    return [
        build_case(participant, plans, events, {})
        for participant in participants_of_events(events)
        if participant.record.stated_of(ParticipantScreened) and participant.participant_id not in excluded
    ]


@dataclass
class QueriedHistory(ParticipantHistory):
    """The history of a participant with its data queries. `plan` changes the protocol of the study.

    `known_on`: the day by which everything is known; None: each fact by the day on which it was recorded.
    """

    plan: dict[str, Any] = field(default_factory=dict)
    known_on: date | None = KNOWN_ON
    closed_on: date | None = None
    is_excluded: bool = False

    def cases(self) -> list[Case]:
        closing_facts = [facts.study_closed(self.closed_on.isoformat())] if self.closed_on else []
        study = record_of(facts.study_opened(facts.protocol(**self.plan)), *closing_facts)
        excluded = frozenset([self.participant_id] if self.is_excluded else [])
        return build_cases(study, self.standing_events(self.known_on), excluded)

    def queries(self, today: date = TODAY) -> list[DataQuery]:
        return [row.query for row in self.queries_with_status(today) if row.query]

    def queries_with_status(self, today: date = TODAY) -> list[QueryWithStatus]:
        rows = [row for case in self.cases() for row in queries_with_status(case)]
        return [row for row in rows if row.is_asked_on(today)]

    def queries_of_rule(self, rule: str, today: date = TODAY) -> list[DataQuery]:
        return [query for query in self.queries(today) if query.rule == rule]


RuleExample = tuple[str, QueriedHistory]
"""Name of a rule, and a history in which it finds something to ask, or nothing."""


def enrolled_participant(*facts_: Fact, **plan: Any) -> QueriedHistory:
    """Returns the history of an enrolled participant with a baseline and without queries, and then `facts_`.

    Everything is recorded at RECORDED_AT.
    """
    history = QueriedHistory(recorded_at=RECORDED_AT, plan=plan)
    history.record(*facts.ENROLLMENT_FACTS, facts.baseline_recorded(), *facts_)
    return history


def treated_participant(*facts_: Fact, **plan: Any) -> QueriedHistory:
    """Returns an enrolled participant after an index course of 28 days, with toxicity assessed at its end.

    Visits are counted from 29 February 2024: visit 1 opens on 15 May, its slot ends on 14 August.
    """
    return enrolled_participant(
        facts.lesion_registered(),
        facts.radiotherapy_started(),
        facts.radiotherapy_completed(),
        toxicity_assessed(28, timepoint="end_of_rt"),
        *facts_,
        **plan,
    )


def days_by_event(participant: Participant, events: Sequence[Event]) -> list[str]:
    """Returns the day of each fact, in the order of its events."""
    days = {stated.event_id: participant.day(stated.fact) for stated in participant.record.stated_facts}
    return [days[event.event_id].isoformat() for event in events]


SITE_ZONES = {"rome": "Europe/Rome"}


def timeline_at(events: Sequence[Event], today: date, **options: Any) -> TimelineAnswer:
    """Returns the timeline at position 412."""
    context = TimelineContext(position=412, recorded_at=RECORDED_AT, today=today, zones=SITE_ZONES)
    return assemble_timeline(events, context, **options)


def timeline_json(
    events: Sequence[Event],
    today: date,
    term_names: Mapping[str, str] | None = None,
    corrected_ids: Collection[UUID] = (),
) -> dict[str, Any]:
    """Returns the `.json` answer of the timeline."""
    options = {"term_names": term_names, "corrected_ids": corrected_ids}
    return dict(timeline_at(events, today, **options).to_json())
