"""Computes the facts and rows of one study anew in the copies, and repairs the running tables by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import asyncpg

from services.analytics.derivation.derive import DERIVATION_VERSION
from services.analytics.deriver.derivation_batch import batches, derive_batch
from services.analytics.deriver.derived_state import changed_participants, digest_plans
from services.analytics.deriver.repository import Derivation, DerivedState, lock_state, store_state
from services.analytics.rebuild.copied_tables import (
    FACT_TABLES,
    ROW_TABLES,
    CopiedTable,
    analyze_copies,
    differing_subjects,
    replace_from_copies,
)
from services.analytics.snapshot.repository import recorded_at, study_record_at
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_name("repository.sql"))
_NOT_DERIVED = DerivedState(0, None, 0, b"")


class StudyCopy:
    """The copy of one study. `report` is called with the number of participants whose facts or rows were computed."""

    def __init__(
        self,
        connection: PooledConnection,
        study_id: str,
        term_names: Mapping[str, str],
        report: Callable[[int], None],
    ) -> None:
        self._connection, self._study_id = connection, study_id
        self._term_names, self._report = term_names, report
        self._position, self._state = 0, _NOT_DERIVED

    async def compute(self) -> None:
        """Computes the study, while the running tables change, and then what has changed meanwhile."""
        await self._catch_up()
        await self._catch_up()
        await analyze_copies(self._connection)

    async def repair(self) -> int:
        """Replaces what differs in the running tables, in one transaction; returns the number of these subjects.

        The projection and the deriver wait for the transaction, readers do not. It compares only what differed before
        it, or has changed since.
        """
        suspects = await self._differing(FACT_TABLES + ROW_TABLES, None)
        async with self._connection.transaction():
            await self._connection.execute(SQL["lock_position"], self._study_id)
            running, revision = await lock_state(self._connection, self._study_id)
            suspects = sorted({*suspects, *await self._catch_up()})
            subjects = await self._differing(FACT_TABLES, suspects)
            await replace_from_copies(self._connection, FACT_TABLES, self._study_id, subjects)
            participants = await self._repair_rows(running, revision + 1, suspects)
        return len({*subjects, *participants})

    async def _repair_rows(self, running: DerivedState, revision: int, suspects: Sequence[str]) -> Sequence[str]:
        """Replaces derived rows, unless the deriver has to derive all of them; a failed participant keeps them."""
        if self._state.epoch is None:
            return []
        failed = {row["participant_id"] for row in await self._connection.fetch(SQL["failed"], self._study_id)}
        participants = [name for name in await self._differing(ROW_TABLES, suspects) if name not in failed]
        await self._connection.execute(SQL["number_revision"], self._study_id, participants, revision)
        await replace_from_copies(self._connection, ROW_TABLES, self._study_id, participants)
        await self._connection.execute(SQL["store_failures"], self._study_id)
        if participants or self._state != running:
            recorded_until = await recorded_at(self._connection, self._study_id, self._state.position)
            await store_state(self._connection, self._study_id, self._state, revision, recorded_until)
        return participants

    async def _differing(self, tables: Sequence[CopiedTable], among: Sequence[str] | None) -> list[str]:
        return sorted(await differing_subjects(self._connection, tables, self._study_id, among))

    async def _catch_up(self) -> set[str]:
        """Computes what is new since the last call, all at first; returns the subjects that were computed.

        How far the running rows are derived is read first: the facts that are copied then reach at least so far.
        """
        running = await self._connection.fetchrow(SQL["derived_state"], self._study_id)
        return {*await self._copy_facts(), *await self._derive_rows(running)}

    async def _copy_facts(self) -> Sequence[str]:
        position = await self._connection.fetchval(SQL["applied_position"], self._study_id)
        rows = await self._connection.fetch(SQL["changed_subjects"], self._study_id, self._position, position)
        subjects = [row["subject"] for row in rows]
        for batch in batches(subjects):
            for statement in ("empty_facts", "empty_sites", "replay_facts", "replay_sites"):
                await self._connection.execute(SQL[statement], self._study_id, batch)
            self._report(len(batch))
        self._position = position
        return subjects

    async def _derive_rows(self, running: asyncpg.Record | None) -> Sequence[str]:
        """Derives the rows at the position of the running ones, from the copied facts. `running`: their state."""
        if running is None or running["derivation_version"] != DERIVATION_VERSION:
            self._state = _NOT_DERIVED
            return []
        study = await study_record_at(self._connection, self._study_id, running["position"])
        target = DerivedState(running["position"], running["epoch"], DERIVATION_VERSION, digest_plans(study))
        if target == self._state:
            return []
        _, participant_ids = await changed_participants(self._connection, self._study_id, self._state, target)
        derivation = Derivation(target.position, "rebuild", 0)
        for batch in batches(participant_ids):
            await derive_batch(self._connection, self._study_id, study, derivation, batch, self._term_names)
            self._report(len(batch))
        self._state = target
        return participant_ids
