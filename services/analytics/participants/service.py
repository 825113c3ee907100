"""What somebody may read of single participants: their timelines, and who there is.

They are read under row-level security, by where each participant is now. Who is out of every figure is not shown here
either: what was never seen, what is another site's and what may no longer be used have one answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg

from services.analytics.cohort.participant import Participant, excludes_participant
from services.analytics.cohort.participation_status import participation_status
from services.analytics.queries.derive import QueryWithStatus as Query
from services.analytics.queries.service import QueryService
from services.analytics.snapshot import repository
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.timeline.entries import assemble_timeline
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event, stated_facts
from shared.eventstore.study_cache import StudyState, load_rights
from shared.kernel.errors import Forbidden, NotFound
from shared.kernel.record import Record
from shared.offload import offload
from shared.security.grants import Rights, readable_tenants
from shared.security.tenancy import Tenant, transaction

PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class ParticipantSummary:
    participant_id: str
    site_id: str
    status: str
    open_queries: int


@dataclass(frozen=True, slots=True)
class ParticipantListPage:
    """Participants by number, at `at`; `next` is the number after which the list goes on, if it does."""

    rows: tuple[ParticipantSummary, ...]
    next: str | None
    current: ProjectionPosition


class ParticipantService:
    """`names`: toxicity terms by their ids, as timelines show them."""

    def __init__(
        self,
        app_pool: asyncpg.Pool[Any],
        reader: StudyReader,
        queries: QueryService,
        term_names: Mapping[str, str] | None = None,
    ) -> None:
        self._app_pool, self._reader = app_pool, reader
        self._queries, self._term_names = queries, term_names or {}

    async def timeline(self, study_id: str, participant_id: str, member: str, as_of: AsOf) -> dict[str, Any]:
        """The `.json` answer. Raises NotFound, NotYourRole, PositionGone or Unacceptable."""
        current = await self._reader.projection_position(study_id)  # before the facts: what is applied later is newer
        rights, study = await self._require_visible(study_id, member)
        resolved = await self._reader.resolve_position(study_id, current, as_of)
        position = resolved.position
        events, corrected_ids = await self._read_events(study_id, participant_id, rights, position)
        if not _is_screened(events) or participant_id in await self._reader.excluded_participants(study_id):
            raise NotFound
        today = resolved.cut_on or self._reader.latest_today(study_id, study.record)
        recorded_at = await self._reader.recorded_at(study_id, position)
        known_on = self._reader.data_known_until(study_id, recorded_at)
        answer = await offload(
            member,
            lambda: assemble_timeline(events, today, self._term_names, corrected_ids, known_on),
            item_count=len(events),
        )
        return {"position": position, "recorded_at": recorded_at.isoformat() if recorded_at else None, **answer}

    async def list_page(
        self, study_id: str, member: str, after: str = "", limit: int = PAGE_SIZE
    ) -> ParticipantListPage:
        """Those whom the member sees, at most `limit` of them. Raises NotFound or NotYourRole."""
        current = await self._reader.projection_position(study_id)
        rights, study = await self._require_visible(study_id, member)
        participant_ids, events_by_participant = set[str](), dict[str, list[Event]]()
        for site in readable_tenants(rights):
            async with transaction(self._app_pool, Tenant(study_id, site)) as connection:
                visible_ids = await repository.visible_participants(connection, study_id, after, limit + 1)
                facts = await repository.facts_of_participants(connection, study_id, visible_ids, current.position)
            participant_ids |= set(visible_ids)
            events_by_participant |= {
                participant_id: list(events) for participant_id, events in groupby(facts, lambda event: event.stream_id)
            }
        page, known_on = sorted(participant_ids)[:limit], self._reader.data_known_until(study_id, current.recorded_at)
        events = [event for number in page for event in events_by_participant.get(number, [])]
        open_counts = Counter(
            query.participant_id for query in await self._derive_open_queries(study_id, study, events, current)
        )
        rows = tuple(
            row
            for number in page
            if (row := _summarize(number, events_by_participant.get(number, []), known_on, open_counts[number]))
        )
        return ParticipantListPage(rows, page[-1] if len(participant_ids) > limit else None, current)

    async def open_queries(
        self, study_id: str, participant_id: str, member: str
    ) -> tuple[ProjectionPosition, list[Query]]:
        """What is open of one participant now, the oldest first. Raises NotFound or NotYourRole."""
        current = await self._reader.projection_position(study_id)
        rights, study = await self._require_visible(study_id, member)
        events, _ = await self._read_events(study_id, participant_id, rights, current.position)
        if not _is_screened(events) or participant_id in await self._reader.excluded_participants(study_id):
            raise NotFound
        return current, sorted(
            await self._derive_open_queries(study_id, study, events, current),
            key=lambda query: (query.since, query.key),
        )

    async def _derive_open_queries(
        self, study_id: str, study: StudyState, events: list[Event], current: ProjectionPosition
    ) -> list[Query]:
        derived = await self._queries.derive_for(study_id, study.record, events, current)
        return [query for query in derived if query.state == "open"]

    async def _require_visible(self, study_id: str, member: str) -> tuple[Rights, StudyState]:
        rights, study = await load_rights(self._reader.studies, study_id, member)
        if not rights.visible_sites:
            raise Forbidden
        return rights, study

    async def _read_events(
        self, study_id: str, participant_id: str, rights: Rights, position: int
    ) -> tuple[list[Event], frozenset[UUID]]:
        """As the first of the member's sites that sees the participant."""
        for site in readable_tenants(rights):
            async with transaction(self._app_pool, Tenant(study_id, site)) as connection:
                events = await repository.facts_of_participants(connection, study_id, [participant_id], position)
                if events:
                    return events, await repository.corrected_event_ids(connection, study_id, participant_id, position)
        return [], frozenset()


def _is_screened(events: list[Event]) -> bool:
    return any(event.type == ParticipantScreened.type_name for event in events)


def _summarize(
    participant_id: str, events: list[Event], known_on: date, open_queries: int
) -> ParticipantSummary | None:
    """None for who is in no figure."""
    record = Record(tuple(stated_facts(event for event in events if event.is_readable)))
    if not record.stated_of(ParticipantScreened) or any(
        excludes_participant(stated.fact) for stated in record.stated_facts
    ):
        return None
    participant = Participant(participant_id=participant_id, record=record, known_on=known_on)
    return ParticipantSummary(
        participant_id=participant_id,
        site_id=participant.current_site,
        status=participation_status(participant),
        open_queries=open_queries,
    )
