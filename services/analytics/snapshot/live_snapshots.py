"""The newest snapshot of each study, kept in memory and brought up to date by what has changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import numpy as np
from asyncpg.transaction import Transaction

from services.analytics.snapshot import repository
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE, Words, replace_participants
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.row_reader import read_table, read_words
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.postgres.tenancy import PooledConnection

MAX_STUDIES = 8
_MAX_CHANGED_SHARE = 0.2
"""Beyond this share of changed participants, all rows are read anew."""


@dataclass(slots=True)
class _LiveStudy:
    """The newest snapshot of a study, and a lock: one reader at a time brings it up to date."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    snapshot: StudySnapshot | None = None


class LiveSnapshots:
    """Keeps the newest snapshots of the studies that were asked for last.

    `system_pool` reads the rows of all participants. `tables`: the tables that figures need.
    """

    def __init__(self, system_pool: asyncpg.Pool[Any], tables: frozenset[str]) -> None:
        self._pool, self._tables, self._words = system_pool, sorted(tables), Words()
        self._studies: OrderedDict[str, _LiveStudy] = OrderedDict()

    async def newest(self, study_id: str) -> StudySnapshot:
        """Returns the rows of a study and their position, from one transaction."""
        live = self._studies.setdefault(study_id, _LiveStudy())
        self._studies.move_to_end(study_id)
        while len(self._studies) > MAX_STUDIES:
            self._studies.popitem(last=False)
        async with live.lock, self._pool.acquire() as connection, _reading(connection):
            current = await repository.projection_position(connection, study_id)
            earlier = live.snapshot if live.snapshot and live.snapshot.epoch == current.epoch else None
            if earlier and earlier.revision == current.revision:
                return earlier
            self._words.extend(await read_words(connection, self._words.known_codes))
            changed = await repository.changed_participants(connection, study_id, earlier.revision) if earlier else []
            live.snapshot = await self._read(connection, study_id, current, earlier, changed)
            return live.snapshot

    async def _read(
        self,
        connection: PooledConnection,
        study_id: str,
        current: ProjectionPosition,
        earlier: StudySnapshot | None,
        changed: Sequence[str],
    ) -> StudySnapshot:
        study = await repository.study_record_at(connection, study_id, current.position)
        if earlier and len(changed) <= max(1, _MAX_CHANGED_SHARE * len(earlier.subjects)):
            ids = np.unique(np.array([name.encode() for name in changed], dtype=PARTICIPANT_DTYPE))
            tables = {
                name: replace_participants(
                    earlier.tables[name], await read_table(connection, name, study_id, changed), ids
                )
                for name in self._tables
            }
        else:
            tables = {name: await read_table(connection, name, study_id) for name in self._tables}
        return StudySnapshot(
            study_id=study_id,
            position=current.position,
            recorded_at=current.recorded_at,
            study=study,
            tables=tables,
            words=self._words,
            epoch=current.epoch,
            revision=current.revision,
        )


def _reading(connection: PooledConnection) -> Transaction:
    """Returns a transaction in which all queries see one state of the database."""
    return connection.transaction(isolation="repeatable_read", readonly=True)
