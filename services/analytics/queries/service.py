"""Data queries on request: those that match a filter and that the member may see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from services.analytics.queries.derive import QueryWithStatus
from services.analytics.queries.repository import QueryFilter, count_open_queries, load_queries_of_tenant
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader
from shared.gate.study_timeline import require_site
from shared.kernel.record import Record
from shared.security.grants import Rights, readable_tenants


class QueryService:
    """Reads the data queries that have been derived, as they are today."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader = reader

    async def visible_queries(
        self, study_id: str, member: str, query_filter: QueryFilter
    ) -> tuple[ProjectionPosition, list[QueryWithStatus]]:
        """Returns the matching queries that the member may see, by participant and key, with their position.

        Raises NotFound for a member without a grant, Forbidden for one who sees no participants or not those of the
        site, RequestRejected for a site that the study does not have.
        """
        rights, study = await self._reader.participant_rights(study_id, member)
        readable_tenants(rights, query_filter.site)
        require_site(study.record, query_filter.site)
        return await self._read(study_id, study.record, rights, query_filter)

    async def open_queries(
        self, study_id: str, participant_id: str, member: str
    ) -> tuple[ProjectionPosition, list[QueryWithStatus]]:
        """Returns the open queries of one participant, the oldest first, with their position.

        Raises NotFound or Forbidden, as `StudyReader.require_participant` does.
        """
        rights, study = await self._reader.participant_rights(study_id, member)
        await self._reader.require_participant(study_id, participant_id, rights)
        current, rows = await self._read(study_id, study.record, rights, QueryFilter(participant=participant_id))
        return current, sorted(rows, key=lambda row: (row.since, row.key))

    async def count_open(
        self, study_id: str, study: Record, rights: Rights, participant_ids: Sequence[str]
    ) -> dict[str, int]:
        """Returns the number of open queries of each of these participants that has any."""
        todays = self._todays(study_id, study)
        counts = dict[str, int]()
        async with self._reader.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                counts |= await count_open_queries(connection, study_id, todays, participant_ids)
        return counts

    async def _read(
        self, study_id: str, study: Record, rights: Rights, query_filter: QueryFilter
    ) -> tuple[ProjectionPosition, list[QueryWithStatus]]:
        todays = self._todays(study_id, study)
        current = await self._reader.projection_position(study_id)  # before the rows: none derived since is missed
        rows = list[QueryWithStatus]()
        async with self._reader.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                rows += await load_queries_of_tenant(connection, study_id, todays, query_filter)
        return current, sorted(rows, key=lambda row: (row.participant_id, row.key))

    def _todays(self, study_id: str, study: Record) -> dict[str, date]:
        """Returns the calendar day at each site; at a site that the study does not know, the latest day of any."""
        latest = self._reader.latest_today(study_id, study)
        return {"": latest, **self._reader.today_by_site(study_id, study)}
