"""Derives the rows of participants whose facts or plans have changed, and commits them with the position.

One transaction brings a study up to date: readers see all rows at one position, before and after. A run that is
interrupted changes nothing; the next starts from the last commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from services.analytics.deriver import repository
from services.analytics.deriver.derivation_batch import batches, derive_batch
from services.analytics.deriver.derived_state import changed_participants, newest_state
from services.analytics.deriver.repository import Derivation
from services.analytics.projection.known_on import keep_known_on
from services.analytics.snapshot.repository import recorded_at
from shared.kernel.clock import Clock


class Deriver:
    """Brings the derived rows of studies up to date. `term_names`: toxicity terms by id, for sentences.

    `clock` says on which day events of earlier releases were known, which do not say so themselves.
    """

    def __init__(self, pool: asyncpg.Pool[Any], term_names: Mapping[str, str], clock: Clock) -> None:
        self._pool, self._term_names, self._clock = pool, term_names, clock

    async def studies(self) -> list[str]:
        """Returns the studies of which facts have been applied."""
        return [row["study_id"] for row in await self._pool.fetch(repository.SQL["studies"])]

    async def derive_study(self, study_id: str, *, with_failed: bool = False) -> int:
        """Derives what has changed in a study; returns the number of participants whose rows were derived anew.

        A second call of any process waits until the first has committed. `with_failed`: also try participants again
        whose last derivation failed.
        """
        if await self._pool.fetchval(repository.SQL["lacks_known_on"], study_id):
            await keep_known_on(self._pool, self._clock, study_id)
        async with self._pool.acquire() as connection, connection.transaction():
            state, revision = await repository.lock_state(connection, study_id)
            study, newest = await newest_state(connection, study_id)
            failed_ids = await repository.failed_participants(connection, study_id)
            if newest is None or (newest == state and not (with_failed and failed_ids)):
                return 0
            reason, participant_ids = await changed_participants(connection, study_id, state, newest)
            if with_failed:
                participant_ids = sorted({*participant_ids, *failed_ids})
            derivation = Derivation(newest.position, reason, revision + 1)
            for batch in batches(participant_ids):
                await derive_batch(connection, study_id, study, derivation, batch, self._term_names)
            recorded_until = await recorded_at(connection, study_id, newest.position)
            await repository.store_state(connection, study_id, newest, derivation.revision, recorded_until)
            return len(participant_ids)
