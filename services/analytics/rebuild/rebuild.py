"""Computes facts and derived rows again from the journal, beside the running tables, and repairs what differs.

Figures stay available: readers wait for nothing, and the projection of a study waits only while what differs is
replaced. A rebuild that is interrupted before that changes nothing of the study.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from services.analytics.rebuild.copied_tables import create_copies, empty_copies
from services.analytics.rebuild.study_copy import SQL, StudyCopy
from shared.postgres.row_mapping import use_standard_uuids
from shared.progress import ReportProgress, report_nothing
from shared.terminology.ctcae import TermNames

_STEPS = 2  # facts, then rows


@dataclass(slots=True)
class _Progress:
    """The share of participants that are computed; each of them is computed in two steps."""

    report: ReportProgress
    participants: int
    steps: int = 0

    def add(self, count: int) -> None:
        self.set(self.steps + count)

    def set(self, steps: int) -> None:
        """Never above the number of participants: some change meanwhile and are computed again."""
        self.steps = min(steps, self.participants * _STEPS)
        self.report(self.steps // _STEPS, self.participants)


async def rebuild(system_url: str, report: ReportProgress = report_nothing) -> int:
    """Rebuilds all studies, one after the other; returns the number of subjects whose facts or rows were repaired.

    `system_url`: of the role `system`. `report` is called with the number of computed participants, and of all.
    Only a batch of participants is in memory at a time.
    """
    connection = await asyncpg.connect(system_url, server_settings={"search_path": "public", "timezone": "UTC"})
    try:
        await use_standard_uuids(connection)
        await create_copies(connection)
        return await _rebuild_studies(connection, report)
    finally:
        await connection.close()


async def _rebuild_studies(connection: asyncpg.Connection, report: ReportProgress) -> int:
    studies = await connection.fetch(SQL["studies"])
    progress = _Progress(report, sum(study["participants"] for study in studies))
    term_names, repaired, finished = TermNames(), 0, 0
    for study in studies:
        await empty_copies(connection)
        copy = StudyCopy(connection, study["study_id"], term_names, progress.add)
        await copy.compute()
        repaired += await copy.repair()
        finished += study["participants"]
        progress.set(finished * _STEPS)
    return repaired
