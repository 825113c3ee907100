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
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE, Table, WordCodes, index_subjects, replace_rows
from services.analytics.snapshot.row_reader import read_table, read_words
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.postgres.tenancy import PooledConnection

MAX_STUDIES = 8
_MAX_CHANGED_SHARE = 0.2
"""Beyond this share of changed participants, all rows are read anew."""


@dataclass(slots=True)
class _LiveStudy:
    """The newest snapshot of a study, and a lock: one reader at a time brings it up to date.

    `words`: those of the snapshot's epoch. A database that was set back may give their codes to other words.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    snapshot: StudySnapshot | None = None
    words: WordCodes = field(default_factory=WordCodes)


class LiveSnapshots:
    """Keeps the newest snapshots of the studies that were asked for last.

    `system_pool` reads the rows of all participants. `tables`: the tables that figures need.
    """

    def __init__(self, system_pool: asyncpg.Pool[Any], tables: frozenset[str]) -> None:
        self._pool, self._tables = system_pool, sorted(tables)
        self._studies: OrderedDict[str, _LiveStudy] = OrderedDict()

    async def newest_snapshot(self, study_id: str) -> StudySnapshot:
        """Returns the rows of a study and their position, from one transaction."""
        live = self._studies.setdefault(study_id, _LiveStudy())
        self._studies.move_to_end(study_id)
        while len(self._studies) > MAX_STUDIES:
            self._studies.popitem(last=False)
        async with live.lock, self._pool.acquire() as connection, _read_transaction(connection):
            current = await repository.projection_position(connection, study_id)
            earlier = live.snapshot if live.snapshot and live.snapshot.epoch == current.epoch else None
            if earlier and earlier.revision == current.revision:
                return earlier
            if earlier is None:
                live.words = WordCodes()
            live.words.extend(await read_words(connection, live.words.known_codes))
            changed = await repository.changed_participants(connection, study_id, earlier.revision) if earlier else []
            tables = await self._read_tables(connection, study_id, earlier, changed)
            live.snapshot = StudySnapshot(
                study_id=study_id,
                position=current.position,
                recorded_at=current.recorded_at,
                study=await repository.study_record_at(connection, study_id, current.position),
                tables=tables,
                words=live.words,
                epoch=current.epoch,
                revision=current.revision,
            )
            return live.snapshot

    async def _read_tables(
        self, connection: PooledConnection, study_id: str, earlier: StudySnapshot | None, changed: Sequence[str]
    ) -> dict[str, Table]:
        """Returns the tables of the earlier snapshot with the rows of changed participants replaced, or all anew."""
        if earlier is None or len(changed) > max(1, _MAX_CHANGED_SHARE * len(earlier.subjects)):
            every_row = {name: await read_table(connection, name, study_id) for name in self._tables}
            return await asyncio.to_thread(index_subjects, every_row)
        ids = np.unique(np.array([name.encode() for name in changed], dtype=PARTICIPANT_DTYPE))
        rows = {name: await read_table(connection, name, study_id, changed) for name in self._tables}
        return await asyncio.to_thread(replace_rows, earlier.tables, rows, ids)


def _read_transaction(connection: PooledConnection) -> Transaction:
    """Returns a transaction in which all queries see one state of the database."""
    return connection.transaction(isolation="repeatable_read", readonly=True)
