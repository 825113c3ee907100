"""A snapshot: a study as of a position, from which every analysis is computed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.analytics.cohort.cohort import Cohort, build_cohort
from services.analytics.cohort.participant import excludes_participant
from shared.contracts.event import Event
from shared.kernel.record import Record


@dataclass(frozen=True, slots=True)
class DataCut:
    """A named data cut: its last calendar day, the position at which it was applied, and when it was recorded."""

    name: str
    cut_on: date
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class StudySnapshot:
    """A study as of a position, as far as one member may see it.

    `study`: the study's own facts at the position. `events`: the facts of participants there, those of excluded
    participants included. `excluded`: participants who are in no analysis today, and so in none of the past.
    `known_until`: the last day that dates are imputed to.
    """

    study_id: str
    position: int
    recorded_at: datetime | None
    study: Record
    events: Sequence[Event]
    excluded: frozenset[str]
    known_until: date

    def cohort(self, cut_date: date) -> Cohort:
        """Returns the participants of the snapshot for an analysis that counts days up to and on `cut_date`."""
        return build_cohort(self.study, self.events, self.excluded, cut_date, self.known_until)

    def excluded_at_position(self) -> frozenset[str]:
        """Returns the participants who were in no analysis at the position, whether they are in one today or not."""
        return frozenset(
            event.stream_id
            for event in self.events
            if event.is_readable and excludes_participant(event.stated_fact().fact)
        )
