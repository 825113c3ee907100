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

from services.analytics.asking import Asked, Figures, tenants
from services.analytics.cohort import is_out, present_site
from services.analytics.projection import reading
from services.analytics.projection.reading import Frontier
from services.analytics.queries import Listed as Query
from services.analytics.questions import Queries
from services.analytics.timeline import status, timeline
from shared.apart import apart
from shared.contracts.enrollment import Screened
from shared.contracts.event import Event, history
from shared.eventstore.studies import StudyState, rights_in
from shared.kernel.record import Record
from shared.kernel.refusal import NotFound, NotYourRole
from shared.security.grants import Rights
from shared.security.tenancy import Tenant, transaction

PAGE = 200


@dataclass(frozen=True, slots=True)
class Row:
    participant_id: str
    site_id: str
    status: str
    open_queries: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Participants by number, at `at`; `next` is the number after which the list goes on, if it does."""

    rows: tuple[Row, ...]
    next: str | None
    at: Frontier


class Participants:
    """`names`: toxicity terms by their ids, as timelines show them."""

    def __init__(
        self,
        app: asyncpg.Pool[Any],
        system: asyncpg.Pool[Any],
        figures: Figures,
        queries: Queries,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._app, self._system, self._figures = app, system, figures
        self._queries, self._names = queries, names or {}

    async def timeline(self, study_id: str, participant: str, member: str, asked: Asked) -> dict[str, Any]:
        """The `.json` answer. Raises NotFound, NotYourRole, PositionGone or Unacceptable."""
        frontier = await reading.frontier(self._system, study_id)  # before the facts: what is applied later is newer
        rights, study = await self._seeing(study_id, member)
        position, cut_on = await self._figures.position(study_id, frontier, asked)
        events, restated = await self._told(study_id, participant, rights, position)
        if not _screened(events) or await self._is_out(study_id, participant):
            raise NotFound
        today = cut_on or self._figures.today(study_id, study.record)
        recorded = await reading.recorded_at(self._system, study_id, position)
        known_on = self._figures.known_on(study_id, recorded)
        told = await apart(
            member, lambda: timeline(events, today, self._names, restated, known_on), if_large=len(events)
        )
        return {"position": position, "recorded_at": recorded.isoformat() if recorded else None, **told}

    async def listed(self, study_id: str, member: str, after: str = "", limit: int = PAGE) -> Listed:
        """Those whom the member sees, at most `limit` of them. Raises NotFound or NotYourRole."""
        frontier = await reading.frontier(self._system, study_id)
        rights, study = await self._seeing(study_id, member)
        numbers, found = set[str](), dict[str, list[Event]]()
        for site in tenants(rights):
            async with transaction(self._app, Tenant(study_id, site)) as connection:
                seen = await reading.participants(connection, study_id, after, limit + 1)
                facts = await reading.facts_of(connection, study_id, seen, frontier.position)
            numbers |= set(seen)
            found |= {number: list(events) for number, events in groupby(facts, lambda event: event.stream_id)}
        page, known_on = sorted(numbers)[:limit], self._figures.known_on(study_id, frontier.recorded_at)
        events = [event for number in page for event in found.get(number, [])]
        asked = Counter(query.participant_id for query in await self._open(study_id, study, events, frontier))
        rows = tuple(row for number in page if (row := _row(number, found.get(number, []), known_on, asked[number])))
        return Listed(rows, page[-1] if len(numbers) > limit else None, frontier)

    async def queries(self, study_id: str, participant: str, member: str) -> tuple[Frontier, list[Query]]:
        """What is open of one participant now, the oldest first. Raises NotFound or NotYourRole."""
        frontier = await reading.frontier(self._system, study_id)
        rights, study = await self._seeing(study_id, member)
        events, _ = await self._told(study_id, participant, rights, frontier.position)
        if not _screened(events) or await self._is_out(study_id, participant):
            raise NotFound
        return frontier, sorted(
            await self._open(study_id, study, events, frontier), key=lambda query: (query.since, query.key)
        )

    async def _open(self, study_id: str, study: StudyState, events: list[Event], at: Frontier) -> list[Query]:
        asked = await self._queries.about(study_id, study.record, events, at)
        return [query for query in asked if query.state == "open"]

    async def _seeing(self, study_id: str, member: str) -> tuple[Rights, StudyState]:
        rights, study = await rights_in(self._figures.studies, study_id, member)
        if not rights.visible:
            raise NotYourRole
        return rights, study

    async def _told(
        self, study_id: str, participant: str, rights: Rights, position: int
    ) -> tuple[list[Event], frozenset[UUID]]:
        """As the first of the member's sites that sees the participant."""
        for site in tenants(rights):
            async with transaction(self._app, Tenant(study_id, site)) as connection:
                events = await reading.facts_of(connection, study_id, [participant], position)
                if events:
                    return events, await reading.restated(connection, study_id, participant, position)
        return [], frozenset()

    async def _is_out(self, study_id: str, participant: str) -> bool:
        """Today, whatever position is asked for."""
        closing = await reading.closing_facts(self._system, study_id)
        return any(event.stream_id == participant and is_out(event.stated().fact) for event in closing)


def _screened(events: list[Event]) -> bool:
    return any(event.type == Screened.type_name for event in events)


def _row(number: str, events: list[Event], known_on: date, open_queries: int) -> Row | None:
    """None for who is in no figure."""
    record = Record(tuple(history(event for event in events if event.is_known)))
    if not record.all(Screened) or any(is_out(stated.fact) for stated in record.stated):
        return None
    return Row(number, present_site(record), status(record, known_on), open_queries)
