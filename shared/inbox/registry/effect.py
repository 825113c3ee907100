"""What enrollment's events mean for a service that takes facts of its own about the same participants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.contracts.event import Event
from shared.eventstore.sql import queries
from shared.inbox.apply import Connection
from shared.inbox.facts import state_by_version

SQL = queries(Path(__file__).with_name("queries.sql"))


async def register(connection: Connection, events: Sequence[Event]) -> None:
    """The effect of events there: the facts that stand, and who is known, where, up to which version."""
    studies = {event.study_id: event.version for event in events if event.of_study}
    if studies:
        await connection.execute(SQL["lock_studies"], sorted(studies))
    await state_by_version(connection, events)
    if studies:
        await connection.execute(SQL["know_studies"], list(studies), list(studies.values()))
    people = {(event.study_id, event.stream_id): event.version for event in events if not event.of_study}
    if people:
        moved = [study for study, _ in people], [subject for _, subject in people], list(people.values())
        if await connection.fetchval(SQL["know_participants"], *moved) < len(people):
            await connection.execute(SQL["know_of_the_unscreened"], *moved)
