"""Seals data cuts: computes every figure at the position of a cut, and stores the bytes once and for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from services.analytics.cuts.frontier import read_frontier
from services.analytics.cuts.progress import state_progress
from services.analytics.cuts.rendering import count_files, render_files
from services.analytics.cuts.repository import DueCut, FigureFile, NewSeal, due_cuts, write_seal
from services.analytics.figures.png import SCALE
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.study_at_cut import StudyAtCut
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock
from shared.progress import ReportProgress, report_nothing
from shared.version import VERSION

_NOBODY = frozenset[str]()


class Sealer:
    """Seals the data cuts of all studies. `pool` connects as the system. `documents`: those that follow each seal.
    `png_scale`: dots of a PNG file for each pixel of its picture.

    A seal and its files are one transaction: an interrupted sealing leaves nothing, and the next begins anew. Of two
    sealers at once one writes the seal, and the other finds it.
    """

    def __init__(
        self, pool: asyncpg.Pool[Any], clock: Clock, documents: Sequence[str], png_scale: float = SCALE
    ) -> None:
        self._pool, self._documents, self._png_scale = pool, documents, png_scale
        self._reader = StudyReader(pool, pool, clock)  # it reads whole studies, nothing as a member

    async def due(self) -> list[DueCut]:
        """Returns the data cuts that can be sealed now, in the order in which they were taken."""
        return await due_cuts(self._pool)

    async def seal(self, due: DueCut) -> bool:
        """Seals a data cut; returns false if it was sealed meanwhile. Raises UnreadableFacts."""
        async with state_progress(self._pool, due.study_id, due.cut.name, "figures") as report_progress:
            return await write_seal(self._pool, *await self.prepare(due, report_progress))

    async def prepare(
        self, due: DueCut, report_progress: ReportProgress = report_nothing
    ) -> tuple[NewSeal, list[FigureFile]]:
        """Returns the seal of a data cut and its files, as they are written. Raises UnreadableFacts.

        `report_progress` is called, by other threads too, with how many files are made, and of how many.
        """
        report_progress(0, count_files(await self._reader.study_record(due.study_id, due.cut.position)))
        study = await self.study_at_cut(due)
        files = await asyncio.to_thread(render_files, study, self._png_scale, report_progress)
        return await self._new_seal(due, study.snapshot), files

    async def study_at_cut(self, due: DueCut) -> StudyAtCut:
        """Returns the study at the position of a data cut. Raises UnreadableFacts."""
        current = await self._reader.projection_position(due.study_id)
        return StudyAtCut(
            cut=due.cut,
            epoch=current.epoch,
            snapshot=await self._snapshot(due),
            sites=await self._reader.sites_at(due.study_id, due.cut.position),
            sealed_later=due.sealed_later,
        )

    async def _snapshot(self, due: DueCut) -> StudySnapshot:
        """Returns the rows at the position of a cut.

        A cut that is sealed later than it was taken leaves out who is excluded today, as its figures did until then: no
        new figure is computed from the data of participants who have withdrawn their consent to the use of data.
        """
        study = (await self._reader.studies.current(due.study_id)).record
        excluded = None if due.sealed_later else _NOBODY
        return await self._reader.past_snapshot(due.study_id, study, due.cut.position, excluded=excluded)

    async def _new_seal(self, due: DueCut, snapshot: StudySnapshot) -> NewSeal:
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            frontier = await read_frontier(connection, due.study_id, due.cut.position)
        subjects = snapshot.subjects
        excluded_ids = subjects["participant_id"][subjects["is_excluded"]]
        return NewSeal(
            due=due,
            frontier=frontier.versions,
            digest=frontier.digest,
            excluded=[name.decode() for name in excluded_ids.tolist()],
            software=VERSION,
            documents=self._documents,
        )
