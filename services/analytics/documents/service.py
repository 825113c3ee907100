"""The documents of data cuts on request: authorized, read from the seal, never made for a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.analytics import urls
from services.analytics.documents.document import Document
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.figures.document_links import DocumentList
from services.analytics.snapshot.access import read_scope
from services.analytics.snapshot.as_of import NO_SUCH_CUT, cut_name
from services.analytics.snapshot.seals import (
    READERS_SCOPE,
    STUDY_SCOPE,
    SealedDocument,
    SealProgress,
    SealScope,
    site_scope,
)
from services.analytics.snapshot.snapshot import DataCut
from services.analytics.snapshot.study_reader import StudyReader
from shared.gate.study_timeline import require_site
from shared.kernel.errors import (
    BeingPrepared,
    NotFound,
    ReadersSeeCuts,
    RequestError,
    SmallGroups,
    parameter_error,
)
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights
from shared.ui.navigation import Link

_NOT_HERE = "This data cut has no such document."
_MADE_ONCE = (
    "Its documents are made once, within minutes after the cut was taken, and are then the same for ever. Ask again in "
    "a moment."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """A document that a member may get at a data cut: what it is, and what was stored."""

    document: Document
    sealed: SealedDocument
    scope: SealScope


@dataclass(frozen=True, slots=True)
class CutDocuments:
    """The documents of a data cut for one member.

    `is_complete`: false while some are still missing. `progress`: of the sealing of the cut; None when nothing is being
    made. It has counts of all files, the same for every member.
    """

    cut: DataCut
    rows: tuple[DocumentRow, ...]
    is_complete: bool
    progress: SealProgress | None


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """The bytes of a document at a data cut, and what is stored with them."""

    cut: DataCut
    row: DocumentRow
    content: bytes


class DocumentService:
    """Reads the documents of data cuts."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader = reader

    async def document(self, name: str, study_id: str, member: str, at: str, site: str | None = None) -> DocumentAnswer:
        """Returns a document of the data cut `cut:<name>`, of the whole study or of a site as the member may see it.

        Raises NotFound, Forbidden, ReadersSeeCuts, SmallGroups or RequestRejected, and BeingPrepared before it is
        stored.
        """
        rights, cut = await self._rights_and_cut(study_id, member, at, site)
        scope = document_scope(rights, DOCUMENTS[name], site)
        stored = {document.name: document for document in await self._reader.seals.documents(study_id, cut.name, scope)}
        if name not in stored:
            progress = await self._progress(study_id, cut)
            is_complete = name in await self._reader.seals.made_documents(study_id, cut.name)
            raise NotFound(_NOT_HERE) if is_complete else BeingPrepared(f"{_state(progress)} {_MADE_ONCE}")
        content = await self._reader.seals.document_content(study_id, cut.name, scope, name)
        if content is None:
            raise NotFound(_NOT_HERE)
        row = DocumentRow(document=DOCUMENTS[name], sealed=stored[name], scope=scope)
        return DocumentAnswer(cut, row, content)

    async def documents(self, study_id: str, member: str, at: str, site: str | None = None) -> CutDocuments:
        """Returns the documents of the data cut `cut:<name>` that the member may get. Raises as `document` does.

        Raises ReadersSeeCuts for readers, who have the address of the report and no list.
        """
        if (await self._reader.member_rights(study_id, member)).is_reader:
            raise ReadersSeeCuts
        return await self._visible(study_id, member, at, site)

    async def _visible(self, study_id: str, member: str, at: str, site: str | None) -> CutDocuments:
        rights, cut = await self._rights_and_cut(study_id, member, at, site)
        progress = await self._progress(study_id, cut)  # before the documents: it has ended when they are there
        complete = await self._reader.seals.made_documents(study_id, cut.name)
        rows = list[DocumentRow]()
        for document, scope in _visible_documents(rights, site):
            for sealed in await self._reader.seals.documents(study_id, cut.name, scope):
                if sealed.name == document.name:
                    rows.append(DocumentRow(document=document, sealed=sealed, scope=scope))
        is_complete = DOCUMENTS.keys() <= complete
        return CutDocuments(cut, tuple(rows), is_complete, None if is_complete else progress)

    async def list_links(self, study_id: str, member: str, cut: str, site: str | None) -> DocumentList:
        """Returns links to the documents of a data cut that the member may get, with their sizes."""
        documents = await self._visible(study_id, member, f"cut:{cut}", site)
        return DocumentList(
            links=[_link(study_id, documents.cut, row) for row in documents.rows],
            state="" if documents.is_complete else _state(documents.progress),
        )

    async def _progress(self, study_id: str, cut: DataCut) -> SealProgress | None:
        return (await self._reader.seals.progress(study_id)).get(cut.name)

    async def _rights_and_cut(self, study_id: str, member: str, at: str, site: str | None) -> tuple[Rights, DataCut]:
        rights = await self._reader.member_rights(study_id, member)
        name = cut_name(at)
        if name is None:
            raise ReadersSeeCuts if rights.is_reader else parameter_error("at", "Give cut:<name> of a data cut.")
        cut = next((cut for cut in await self._reader.data_cuts(study_id) if cut.name == name), None)
        if cut is None:
            raise NotFound(NO_SUCH_CUT)
        require_site((await self._reader.studies.current(study_id)).record, site)
        return rights, cut


def _state(progress: SealProgress | None) -> str:
    """Returns a sentence on a data cut without some of its documents."""
    if progress is None:
        return "The files of this data cut are not sealed yet."
    return f"The {progress.stage} of this data cut are being sealed: {progress.words}."


def _link(study_id: str, cut: DataCut, row: DocumentRow) -> Link:
    document, site = row.document, row.scope.site_id
    href = urls.document_url(study_id, document.name, cut.name, site)
    return Link(href, f"{document.title} (.{document.extension}, {format_size(row.sealed.size)})")


def format_size(size: int) -> str:
    """Returns a number of bytes as people read it: `950 B`, `480 kB`, `1.2 MB`; a kB is 1,000 bytes."""
    if size < 1000:
        return f"{size} B"
    return f"{(size + 500) // 1000} kB" if size < 999_500 else f"{(size + 50_000) // 100_000 / 10:.1f} MB"


def _visible_documents(rights: Rights, site: str | None) -> Iterator[tuple[Document, SealScope]]:
    """Yields the documents that a member may get, each with its scope."""
    for document in DOCUMENTS.values():
        try:
            yield document, document_scope(rights, document, site)
        except RequestError:
            continue


def document_scope(rights: Rights, document: Document, site: str | None) -> SealScope:
    """Returns the scope whose bytes of a document a member gets; `site` narrows it to that site.

    Raises Forbidden, ReadersSeeCuts, SmallGroups for a part of a publication, and RequestRejected for a member of
    several sites who names none.
    """
    if rights.is_reader:
        return _reader_scope(rights, document, site)
    scope = read_scope(document.rights_of(rights), site, participant_level=document.person_level)
    sites = frozenset({site}) if site else scope.enrolling_sites or scope.current_sites
    if sites is None:
        return STUDY_SCOPE
    if len(sites) > 1:
        raise parameter_error("site", "Give one of your sites: documents are kept for each site and the whole study.")
    return site_scope(next(iter(sites)))


def _reader_scope(rights: Rights, document: Document, site: str | None) -> SealScope:
    if document.person_level:
        raise ReadersSeeCuts
    if site or not any(grant.scope == EVERY_SITE for grant in rights.grants):
        raise SmallGroups
    return READERS_SCOPE
