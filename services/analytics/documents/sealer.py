"""Makes the documents that sealed data cuts lack, and stores their bytes once and for all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import asyncpg

from services.analytics.cuts.progress import state_progress
from services.analytics.cuts.repository import fact_changes
from services.analytics.cuts.sealed_study import EarlierCut, SealedStudy
from services.analytics.documents import repository
from services.analytics.documents.document import Document
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.repository import DocumentFile, DueDocuments
from services.analytics.snapshot.seals import SealScope
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock
from shared.progress import ReportProgress, report_nothing
from shared.version import VERSION

_NOBODY = frozenset[str]()


class DocumentSealer:
    """Makes the documents of the sealed data cuts of all studies. `pool` connects as the system.

    Documents of a cut are one transaction: an interrupted sealing leaves none, and the next begins anew. A document
    that cannot be made keeps none of the others from being stored.
    """

    def __init__(self, pool: asyncpg.Pool[Any], clock: Clock, documents: Mapping[str, Document] = DOCUMENTS) -> None:
        self._pool, self._documents = pool, documents
        self._reader = StudyReader(pool, pool, clock)  # it reads whole studies, nothing as a member

    async def due(self) -> list[DueDocuments]:
        """Returns the documents that can be made now, in the order in which the data cuts were taken."""
        return await repository.due_documents(self._pool, list(self._documents))

    async def seal(self, due: DueDocuments) -> bool:
        """Makes and stores documents; returns false if another process did so meanwhile.

        Raises UnreadableFacts, and the error of the first document that cannot be made once the others are stored.
        """
        failures = dict[str, Exception]()
        async with state_progress(self._pool, due.study_id, due.cut.name, "documents") as report_progress:
            files = await self.prepare(due, failures, report_progress)
            complete = [name for name in due.documents if name not in failures]
            is_written = await repository.write_documents(
                self._pool,
                replace(due, documents=tuple(complete)),
                [file for file in files if file.document in complete],
                VERSION,
            )
        for failure in failures.values():
            raise failure
        return is_written

    async def prepare(
        self, due: DueDocuments, failures: dict[str, Exception], report_progress: ReportProgress = report_nothing
    ) -> list[DocumentFile]:
        """Returns the files of documents for every scope, and adds the errors of those that cannot be made.

        `report_progress` is called with how many files are done, and of how many. One that cannot be made, and one that
        a scope turns out not to have, are done too. Raises UnreadableFacts.
        """
        study_id, name = due.study_id, due.cut.name
        scopes, streams = await repository.scopes_and_streams(self._pool, study_id, name)
        documents = [self._documents[document] for document in due.documents]
        wanted = {scope: [document for document in documents if document.is_for(scope)] for scope in scopes}
        files, total, done = list[DocumentFile](), sum(map(len, wanted.values())), 0
        report_progress(done, total)
        study = await self._sealed_study(due, streams)
        for scope in scopes:
            study = replace(
                study,
                figures=await repository.sealed_figures(self._pool, study_id, name, scope),
                earlier=await self._earlier_of_scope(study_id, study.earlier, scope),
            )
            for document in wanted[scope]:
                files += await asyncio.to_thread(self._make_file, study, scope, document, failures)
                report_progress(done := done + 1, total)
        return files

    async def _sealed_study(self, due: DueDocuments, streams: int) -> SealedStudy:
        """Returns the study at the cut, without figures."""
        study_id, cut = due.study_id, due.cut
        current = await self._reader.projection_position(study_id)
        seal = await self._reader.seals.seal(study_id, cut.name)
        if seal is None:  # a seal is never deleted
            raise LookupError(cut.name)
        return SealedStudy(
            cut=cut,
            epoch=current.epoch,
            snapshot=await self._snapshot(due, cut.position),
            sites=await self._reader.sites_at(study_id, cut.position),
            sealed_later=due.sealed_later,
            seal=seal,
            streams=streams,
            figures={},
            earlier=await self._earlier(due),
        )

    async def _earlier(self, due: DueDocuments) -> EarlierCut | None:
        cut = await repository.earlier_cut(self._pool, due.study_id, due.cut.position)
        if cut is None:
            return None
        async with self._pool.acquire() as connection:
            facts = await fact_changes(connection, due.study_id, cut.position, due.cut.position, _NOBODY)
        return EarlierCut(cut=cut, snapshot=await self._snapshot(due, cut.position), figures={}, facts=facts)

    async def _earlier_of_scope(self, study_id: str, earlier: EarlierCut | None, scope: SealScope) -> EarlierCut | None:
        if earlier is None:
            return None
        return replace(earlier, figures=await repository.sealed_figures(self._pool, study_id, earlier.cut.name, scope))

    async def _snapshot(self, due: DueDocuments, position: int) -> StudySnapshot:
        """Returns the rows at a position. Documents that are added later leave out who is excluded today."""
        study = (await self._reader.studies.current(due.study_id)).record
        excluded = None if due.sealed_later else _NOBODY
        return await self._reader.past_snapshot(due.study_id, study, position, excluded=excluded)

    @staticmethod
    def _make_file(
        study: SealedStudy, scope: SealScope, document: Document, failures: dict[str, Exception]
    ) -> list[DocumentFile]:
        """Returns the file of a document, or nothing where the scope has none or it has failed."""
        if document.name in failures:
            return []
        try:
            content = document.make(study, scope)
        except Exception as error:  # of any kind: it is raised when the others are stored
            failures[document.name] = error
            return []
        if content is None:
            return []
        return [
            DocumentFile(
                document=document.name,
                scope=scope,
                content=content,
                sha256=sha256(content).digest(),
                participant_rows=study.count_participants(scope) if document.person_level else 0,
            )
        ]
