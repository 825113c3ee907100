"""Reads derived data queries. Row-level security limits them to the participants of the connection's tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import asyncpg

from services.analytics.queries.derive import DataQuery, QueryWithStatus
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
QueryState = Literal["open", "explained", "all"]


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Selects data queries; None and `all` select every one."""

    site: str | None = None
    participant: str | None = None
    rule: str | None = None
    state: QueryState = "open"


async def load_queries_of_tenant(
    connection: PooledConnection, study_id: str, todays: Mapping[str, date], query_filter: QueryFilter
) -> list[QueryWithStatus]:
    """Returns the data queries that match, by participant and key. `todays`: the calendar day at each site."""
    rows = await connection.fetch(
        SQL["visible_queries"],
        study_id,
        list(todays),
        list(todays.values()),
        query_filter.site,
        query_filter.participant,
        query_filter.rule,
        query_filter.state,
    )
    return [_query_from_row(row) for row in rows]


async def count_open_queries(
    connection: PooledConnection, study_id: str, todays: Mapping[str, date], participant_ids: Sequence[str]
) -> dict[str, int]:
    """Returns the number of open data queries of each of these participants that has any."""
    rows = await connection.fetch(
        SQL["open_counts"], study_id, list(todays), list(todays.values()), list(participant_ids)
    )
    return {row["participant_id"]: row["open_queries"] for row in rows}


def _query_from_row(row: asyncpg.Record) -> QueryWithStatus:
    query = (
        DataQuery(row["rule"], tuple(row["event_ids"]), row["text"], row["since"], row["opens_on"], row["closes_on"])
        if row["rule"]
        else None
    )
    return QueryWithStatus(
        participant_id=row["participant_id"],
        site_id=row["site_id"],
        key=row["key"],
        query=query,
        explained_by=tuple(row["explained_by"]),
        since=row["since"],
    )
