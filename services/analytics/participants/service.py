"""The list of participants on request: current site, status and open data queries of each, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participation_status import participation_status
from services.analytics.queries.service import QueryService
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event

PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class ParticipantSummary:
    """A row of the list: the current site, the participation status, and the number of open data queries."""

    participant_id: str
    site_id: str
    status: str
    open_queries: int


@dataclass(frozen=True, slots=True)
class ParticipantListPage:
    """Participants sorted by id. `next`: the id after which the next page begins; None on the last page."""

    rows: tuple[ParticipantSummary, ...]
    next: str | None
    current: ProjectionPosition


class ParticipantService:
    """Lists the participants that a member may see."""

    def __init__(self, reader: StudyReader, queries: QueryService) -> None:
        self._reader, self._queries = reader, queries

    async def list_page(
        self, study_id: str, member: str, after: str = "", limit: int = PAGE_SIZE
    ) -> ParticipantListPage:
        """Returns at most `limit` participants beyond `after`, without excluded ones. Raises NotFound or Forbidden."""
        current = await self._reader.projection_position(study_id)  # before the facts: none applied since is missed
        rights, study = await self._reader.participant_rights(study_id, member)
        by_participant = await self._reader.facts_by_participant(study_id, rights, current.position, after, limit + 1)
        page = dict(list(by_participant.items())[:limit])
        excluded = await self._reader.excluded_participants(study_id)
        events = [event for participant_events in page.values() for event in participant_events]
        derived = await self._queries.derive_for(study_id, study.record, events, excluded)
        open_counts = Counter(query.participant_id for query in derived if query.state == "open")
        rows = tuple(
            row
            for participant_id, participant_events in page.items()
            if participant_id not in excluded
            and (row := _summarize(participant_id, participant_events, open_counts[participant_id]))
        )
        return ParticipantListPage(rows=rows, next=max(page) if len(by_participant) > limit else None, current=current)


def _summarize(participant_id: str, events: Sequence[Event], open_queries: int) -> ParticipantSummary | None:
    """Returns the row of a participant; None if not screened."""
    participant = Participant.from_events(participant_id, events)
    if not participant.record.stated_of(ParticipantScreened):
        return None
    return ParticipantSummary(
        participant_id=participant_id,
        site_id=participant.current_site,
        status=participation_status(participant),
        open_queries=open_queries,
    )
