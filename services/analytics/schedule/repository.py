"""Reads the worklist. Row-level security limits it to the participants of the connection's tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services.analytics.derivation.rows import NEVER
from services.analytics.schedule.worklist import (
    OPENING_DAYS,
    PAST_STATES,
    VISIT_STATES,
    UnscheduledParticipant,
    WorklistEntry,
    WorklistGroup,
    WorklistKey,
    WorklistVisit,
    in_order,
    is_beyond,
    remaining_groups,
)
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_PAST_QUERIES: Mapping[WorklistGroup, str] = {
    "missed": "missed",
    "done_late": "attended",
    "done": "attended",
    "not_applicable": "not_applicable",
}
_ANY_OPENING_DAYS = 1_000_000
_BEFORE_ALL, _AFTER_ALL = ("", -1), ("~", 2**31 - 1)
"""A participant and a sequence before, and after, those of every visit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistSelection:
    """The entries that a worklist has.

    `on`: the latest day at any of its sites. `todays`: the calendar day at each of them. `follow_up_sites`: those of
    them that are not closed on their day. `longest_slot`, `longest_window`: at least the days of the longest slot and
    window of the study's plans; None where nothing bounds a slot.
    """

    study_id: str
    on: date
    todays: Mapping[str, date]
    follow_up_sites: frozenset[str]
    groups: Collection[WorklistGroup]
    participant: str | None
    opening_days: int | None
    longest_slot: timedelta | None
    longest_window: timedelta

    @property
    def visit_arguments(self) -> tuple[str, list[str], list[date]]:
        """The arguments of the SQL function `visit_status`."""
        return self.study_id, list(self.todays), list(self.todays.values())

    @property
    def opens_within(self) -> int:
        return _ANY_OPENING_DAYS if self.opening_days is None else self.opening_days

    def window_ends(self, group: WorklistGroup) -> tuple[date, date]:
        """Returns the first and the last day on which a window of the group can end."""
        earliest, latest = min(self.todays.values(), default=self.on), self.on
        if group == "overdue":
            return earliest - self.longest_slot if self.longest_slot else date.min, latest
        if group == "due":
            return earliest, latest + self.longest_window
        if self.opening_days is None:
            return earliest, NEVER
        return earliest, latest + timedelta(days=self.opening_days) + self.longest_window


async def load_entries(
    connection: PooledConnection, selection: WorklistSelection, after: WorklistKey | None, limit: int
) -> list[WorklistEntry]:
    """Returns at most `limit` entries beyond the key, in the order of the list."""
    if selection.participant:
        return await _load_of_participant(connection, selection, after, limit)
    entries = list[WorklistEntry]()
    for group in remaining_groups(selection.groups, after):
        key = after if after and after.group == group else None
        entries += await _load_group(connection, selection, group, key, limit - len(entries))
        if len(entries) == limit:
            break
    return entries


async def _load_of_participant(
    connection: PooledConnection, selection: WorklistSelection, after: WorklistKey | None, limit: int
) -> list[WorklistEntry]:
    rows = await connection.fetch(
        SQL["of_participant"],
        *selection.visit_arguments,
        _other_states(selection.groups),
        selection.participant,
        selection.opens_within,
    )
    entries: list[WorklistEntry] = [_visit_from_row(row) for row in rows]
    if "no_schedule" in selection.groups:
        entries += await _load_unscheduled(connection, selection, None, limit)
    return [entry for entry in in_order(entries) if is_beyond(entry.key, after)][:limit]


async def _load_group(
    connection: PooledConnection,
    selection: WorklistSelection,
    group: WorklistGroup,
    after: WorklistKey | None,
    limit: int,
) -> Sequence[WorklistEntry]:
    if group == "no_schedule":
        return await _load_unscheduled(connection, selection, after, limit)
    left_out = _other_states([group])
    if group in PAST_STATES:
        start = after[1:] if after else (NEVER, *_AFTER_ALL)
        closed_until = [selection.on] if group == "missed" else []
        rows = await connection.fetch(
            SQL[_PAST_QUERIES[group]], *selection.visit_arguments, left_out, *start, limit, *closed_until
        )
    else:
        first, last = selection.window_ends(group)
        start = after[1:] if after else (first, *_BEFORE_ALL)
        rows = await connection.fetch(
            SQL["awaited"], *selection.visit_arguments, left_out, *start, last, selection.opens_within, limit
        )
    return [_visit_from_row(row) for row in rows]


def _other_states(states: Iterable[WorklistGroup]) -> list[str]:
    """Returns the states to leave out. PostgreSQL expects that such a condition holds for nearly every row."""
    return [state for state in VISIT_STATES if state not in set(states)]


async def _load_unscheduled(
    connection: PooledConnection, selection: WorklistSelection, after: WorklistKey | None, limit: int
) -> list[UnscheduledParticipant]:
    todays = {site: today for site, today in selection.todays.items() if site in selection.follow_up_sites}
    rows = await connection.fetch(
        SQL["unscheduled"],
        selection.study_id,
        list(todays),
        list(todays.values()),
        *(after[1:3] if after else (date.min, "")),
        selection.participant,
        limit,
    )
    return [UnscheduledParticipant(**row) for row in rows]


async def count_recently_missed(connection: PooledConnection, selection: WorklistSelection) -> int:
    """Returns the number of visits whose slots ended within the last `OPENING_DAYS` days without a contact."""
    first = min(selection.todays.values(), default=selection.on) - timedelta(days=OPENING_DAYS)
    arguments = (*selection.visit_arguments, first, selection.on, OPENING_DAYS, selection.participant)
    count: int = await connection.fetchval(SQL["recently_missed"], *arguments)
    return count


async def load_last_contacts(
    connection: PooledConnection, study_id: str, participant_ids: Sequence[str], codes: Mapping[str, int]
) -> dict[str, date]:
    """Returns the day of the last contact of each of these participants that has any. `codes`: those of words."""
    rows = await connection.fetch(
        SQL["last_contacts"], study_id, participant_ids, codes.get("contact"), codes.get("registry")
    )
    return {row["participant_id"]: row["last_contact"] for row in rows}


def _visit_from_row(row: asyncpg.Record) -> WorklistVisit:
    columns: dict[str, Any] = {name: None if value == NEVER else value for name, value in row.items()}
    return WorklistVisit(**columns)
