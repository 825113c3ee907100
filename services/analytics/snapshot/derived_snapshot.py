"""Derives a snapshot from facts, for past positions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from services.analytics.cohort.participants import participants_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import derive
from services.analytics.derivation.rows import ParticipantRows
from services.analytics.derivation.subject import excluded_subject
from services.analytics.snapshot.columns import WordCodes, tables_of_participants
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.contracts.event import Event
from shared.kernel.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """The facts of a study as of a position.

    `study`: the study's own facts. `events`: the facts of participants, in any order. `excluded`: participants who are
    in no analysis today, and so in none of the past.
    """

    study_id: str
    position: int
    recorded_at: datetime | None
    study: Record
    events: Iterable[Event]
    excluded: frozenset[str]


def derive_snapshot(facts: StudyFacts) -> StudySnapshot:
    """Returns the snapshot that the rows of the same facts in the database give."""
    words = WordCodes()
    return StudySnapshot(
        study_id=facts.study_id,
        position=facts.position,
        recorded_at=facts.recorded_at,
        study=facts.study,
        tables=tables_of_participants(_derive_participants(facts), words),
        words=words,
    )


def _derive_participants(facts: StudyFacts) -> Iterator[ParticipantRows]:
    """Yields the rows of each participant, in the order of their numbers."""
    plans = StudyPlans.from_record(facts.study)
    for participant in participants_of_events(facts.events):
        if participant.participant_id in facts.excluded:
            yield ParticipantRows(subject=(excluded_subject(participant),))
        else:
            yield derive(participant, plans)
