"""The participants of a study as of a position, and the selection that a figure counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from services.analytics.cohort.participant import Participant
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event
from shared.gate.study_timeline import protocol_on
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol


@dataclass(frozen=True)
class Cohort:
    """The screened participants of a study.

    `study`: the study's own facts. `excluded`: participants who are in no analysis, past or present, because they are
    voided or their consent to data use is withdrawn. `cut_date`: the data cut-off, the last day that is counted.
    """

    study: Record
    participants: tuple[Participant, ...]
    excluded: tuple[Participant, ...]
    cut_date: date

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol in force on the data cut-off, for every participant."""
        return protocol_on(self.study, self.cut_date)


def build_cohort(
    study: Record,
    events: Iterable[Event],
    excluded_ids: frozenset[str],
    cut_date: date,
) -> Cohort:
    """Returns the screened participants with their current facts, in the order of their ids.

    `events` may be in any order across participants; unreadable ones are left out. `excluded_ids`: participants whom
    no analysis may use today.
    """
    events_by_subject: dict[str, list[Event]] = {}
    for event in events:
        events_by_subject.setdefault(event.stream_id, []).append(event)
    subjects = [Participant.from_events(*subject_events) for subject_events in sorted(events_by_subject.items())]
    participants = [subject for subject in subjects if subject.record.stated_of(ParticipantScreened)]
    return Cohort(
        study=study,
        participants=tuple(
            participant for participant in participants if participant.participant_id not in excluded_ids
        ),
        excluded=tuple(participant for participant in participants if participant.participant_id in excluded_ids),
        cut_date=cut_date,
    )


@dataclass(frozen=True)
class Selection:
    """The participants that a figure counts, and the last day that it counts.

    `sites`: enrolling sites; None: all. `subset`: `all` or `stereotactic`. `by`: the stratification; None: none.
    """

    cut_date: date
    sites: frozenset[str] | None = None
    subset: str = "all"
    by: str | None = None

    def participants(self, cohort: Cohort) -> list[Participant]:
        return [participant for participant in cohort.participants if self._includes(participant, cohort.protocol)]

    def count_excluded(self, cohort: Cohort) -> int:
        """Returns the number of excluded participants of the selected sites."""
        return sum(self.sites is None or participant.site_id in self.sites for participant in cohort.excluded)

    def _includes(self, participant: Participant, protocol: Protocol) -> bool:
        at_selected_site = self.sites is None or participant.site_id in self.sites
        return at_selected_site and (self.subset == "all" or participant.is_stereotactic(protocol, self.cut_date))
