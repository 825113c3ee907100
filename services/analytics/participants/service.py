"""The list of participants on request: current site, status and open data queries of each, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass

from services.analytics.participants.repository import ListedParticipant, load_page
from services.analytics.queries.service import QueryService
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader

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
        current = await self._reader.projection_position(study_id)  # before the rows: none derived since is missed
        rights, study = await self._reader.participant_rights(study_id, member)
        visible = list[ListedParticipant]()
        async with self._reader.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                visible += await load_page(connection, study_id, after, limit + 1)
        ordered = sorted(visible, key=lambda participant: participant.participant_id)
        page = ordered[:limit]
        ids = [participant.participant_id for participant in page]
        open_counts = await self._queries.count_open(study_id, study.record, rights, ids)
        rows = tuple(
            ParticipantSummary(
                participant_id=participant.participant_id,
                site_id=participant.site_id,
                status=participant.status,
                open_queries=open_counts.get(participant.participant_id, 0),
            )
            for participant in page
        )
        return ParticipantListPage(rows=rows, next=ids[-1] if len(ordered) > limit else None, current=current)
