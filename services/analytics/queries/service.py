"""From what is asked about queries to those that somebody may see: open or explained, of a site, a rule, a person."""

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
from shared.eventstore.study_cache import load_rights
from shared.gate.study_timeline import require_site
from shared.kernel.errors import Forbidden
from shared.kernel.record import Record
from shared.security.grants import EVERY_SITE

QueryState = Literal["open", "explained", "all"]
CACHE_SIZE = 16
CacheKey = tuple[str, str, int, frozenset[str], frozenset[str], frozenset[tuple[str, date]]]


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Which queries: None and `all` stand for every one."""

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
    """Queries are derived when they are asked for; the newest answers are kept for as long as nothing has moved.

    `names`: toxicity terms by their ids, as sentences have them.
    """

    def __init__(self, reader: StudyReader, term_names: Mapping[str, str] | None = None) -> None:
        self._reader, self._term_names = reader, term_names or {}
        self._cache: OrderedDict[CacheKey, list[QueryWithStatus]] = OrderedDict()

    async def visible_queries(
        self, study_id: str, member: str, query_filter: QueryFilter
    ) -> tuple[ProjectionPosition, list[QueryWithStatus]]:
        """What the member may see of what is wanted, by participant and key, and the position that it is of.

        Raises NotFound for who has no grant, NotYourRole for who sees no participants, or not that site's.
        """
        current = await self._reader.current_position(
            study_id, member
        )  # before the facts: what is applied later is newer
        rights, study = await load_rights(self._reader.studies, study_id, member)
        if not rights.visible_sites or not (
            query_filter.site is None or {query_filter.site, EVERY_SITE} & rights.visible_sites
        ):
            raise Forbidden
        require_site(study.record, query_filter.site)
        today_by_site, excluded = (
            self._reader.today_by_site(study_id, study.record),
            await self._reader.excluded_participants(study_id),
        )
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
            self._cache[cache_key] = await self.derive_for(study_id, study.record, events, current, excluded)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return current, [row for row in self._cache[cache_key] if query_filter.matches(row)]

    async def derive_for(
        self,
        study_id: str,
        study: Record,
        events: Sequence[Event],
        current: ProjectionPosition,
        excluded: frozenset[str] = frozenset(),
    ) -> list[QueryWithStatus]:
        """What these facts of whole participants, who are not out, raise today at their sites."""
        today_by_site, latest_today = (
            self._reader.today_by_site(study_id, study),
            self._reader.latest_today(study_id, study),
        )
        known_on = self._reader.data_known_until(study_id, current.recorded_at)
        return await asyncio.to_thread(
            _derive,
            study,
            events,
            excluded,
            lambda site: today_by_site.get(site, latest_today),
            self._term_names,
            known_on,
        )


def _derive(
    study: Record,
    events: Sequence[Event],
    excluded: frozenset[str],
    today: TodayAtSite,
    term_names: Mapping[str, str],
    known_on: date,
) -> list[QueryWithStatus]:
    return [
        row
        for case in build_cases(study, events, excluded, today, term_names, known_on)
        for row in queries_with_status(case)
    ]
