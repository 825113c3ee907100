"""Applies enrollment's events in a service that records its own facts about the same participants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.contracts.event import Event
from shared.inbox.repository import Connection
from shared.inbox.standing_facts import apply_by_version
from shared.postgres.named_queries import load_queries

SQL = load_queries(Path(__file__).with_name("queries.sql"))


async def apply_enrollment_events(connection: Connection, events: Sequence[Event]) -> None:
    """Updates the current facts, and the version and current site of each study and participant."""
    study_versions = {event.study_id: event.version for event in events if event.is_study_event}
    if study_versions:
        await connection.execute(SQL["lock_studies"], sorted(study_versions))
    await apply_by_version(connection, events)
    if study_versions:
        await connection.execute(SQL["upsert_studies"], list(study_versions), list(study_versions.values()))
    participant_versions = {
        (event.study_id, event.stream_id): event.version for event in events if not event.is_study_event
    }
    if participant_versions:
        columns = (
            [study for study, _ in participant_versions],
            [subject for _, subject in participant_versions],
            list(participant_versions.values()),
        )
        if await connection.fetchval(SQL["upsert_participants"], *columns) < len(participant_versions):
            await connection.execute(SQL["update_unscreened"], *columns)
