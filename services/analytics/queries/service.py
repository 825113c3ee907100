"""Data queries on request: those that match a filter and that the member may see."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.analytics.queries.case import TodayAtSite, build_cases
from services.analytics.queries.derive import QueryWithStatus, queries_with_status
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader
from shared.contracts.event import Event
from shared.gate.study_timeline import require_site
from shared.kernel.record import Record
from shared.security.grants import readable_tenants

QueryState = Literal["open", "explained", "all"]
CACHE_SIZE = 16
CacheKey = tuple[str, str, int, frozenset[str], frozenset[str], frozenset[tuple[str, date]]]


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Selects data queries; None and `all` select every one."""

    site: str | None = None
    participant: str | None = None
    rule: str | None = None
    state: QueryState = "open"

    def matches(self, entry: QueryWithStatus) -> bool:
        return (
            self.site in (None, entry.site_id)
            and self.participant in (None, entry.participant_id)
            and self.rule in (None, entry.query.rule if entry.query else None)
            and self.state in ("all", entry.state)
        )


class QueryService:
    """Derives data queries on request, and caches the newest answers.

    `term_names`: toxicity terms by id, for the sentences.
    """

    def __init__(self, reader: StudyReader, term_names: Mapping[str, str] | None = None) -> None:
        self._reader, self._term_names = reader, term_names or {}
        self._cache: OrderedDict[CacheKey, list[QueryWithStatus]] = OrderedDict()

    async def visible_queries(
        self, study_id: str, member: str, query_filter: QueryFilter
    ) -> tuple[ProjectionPosition, list[QueryWithStatus]]:
        """Returns the matching queries that the member may see, by participant and key, with their position.

        Raises NotFound for a member without a grant, Forbidden for one who sees no participants or not those of the
        site, RequestRejected for a site that the study does not have.
        """
        current = await self._reader.projection_position(study_id)  # before the facts: none applied since is missed
        rights, study = await self._reader.participant_rights(study_id, member)
        readable_tenants(rights, query_filter.site)
        require_site(study.record, query_filter.site)
        today_by_site = self._reader.today_by_site(study_id, study.record)
        excluded = await self._reader.excluded_participants(study_id)
        cache_key = (
            study_id,
            current.epoch,
            current.position,
            rights.visible_sites,
            excluded,
            frozenset(today_by_site.items()),
        )
        if cache_key not in self._cache:
            events = await self._reader.visible_facts(study_id, rights, current.position)
            self._cache[cache_key] = await self.derive_for(study_id, study.record, events, excluded)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return current, [row for row in self._cache[cache_key] if query_filter.matches(row)]

    async def open_queries(
        self, study_id: str, participant_id: str, member: str
    ) -> tuple[ProjectionPosition, list[QueryWithStatus]]:
        """Returns the open queries of one participant, the oldest first, with their position.

        Raises NotFound or Forbidden, as `StudyReader.participant_facts` does.
        """
        current = await self._reader.projection_position(study_id)
        rights, study = await self._reader.participant_rights(study_id, member)
        facts = await self._reader.participant_facts(study_id, participant_id, rights, current.position)
        derived = await self.derive_for(study_id, study.record, facts.events)
        return current, sorted((row for row in derived if row.state == "open"), key=lambda row: (row.since, row.key))

    async def derive_for(
        self,
        study_id: str,
        study: Record,
        events: Sequence[Event],
        excluded: frozenset[str] = frozenset(),
    ) -> list[QueryWithStatus]:
        """Returns today's queries of the participants of `events` that are not excluded, off the event loop.

        `events` must contain every fact of each participant.
        """
        today_by_site = self._reader.today_by_site(study_id, study)
        latest_today = self._reader.latest_today(study_id, study)
        return await asyncio.to_thread(
            _derive,
            study,
            events,
            excluded,
            lambda site: today_by_site.get(site, latest_today),
            self._term_names,
        )


def _derive(
    study: Record,
    events: Sequence[Event],
    excluded: frozenset[str],
    today: TodayAtSite,
    term_names: Mapping[str, str],
) -> list[QueryWithStatus]:
    return [
        row for case in build_cases(study, events, excluded, today, term_names) for row in queries_with_status(case)
    ]
