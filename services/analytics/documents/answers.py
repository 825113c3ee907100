"""The answer with the documents of a data cut, as OpenAPI describes it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from services.analytics import urls
from services.analytics.documents.service import CutDocuments, DocumentRow
from services.analytics.snapshot.seals import SealProgress, SealStage


class DocumentDescription(BaseModel):
    """A document of a data cut. Its bytes never change."""

    name: str
    title: str
    media_type: str
    size: Annotated[int, Field(description="bytes")]
    sha256: Annotated[str, Field(description="of the bytes, in hexadecimal")]
    site: Annotated[str | None, Field(description="the site whose participants it has; null: those of all sites")]
    sealed_at: datetime
    software: Annotated[str, Field(description="the version that made it")]
    sealed_later: Annotated[bool, Field(description="a later version added it to the sealed figures of the data cut")]
    href: str

    @classmethod
    def from_row(cls, study_id: str, cut: str, row: DocumentRow) -> DocumentDescription:
        document, sealed, site = row.document, row.sealed, row.scope.site_id
        return cls(
            name=document.name,
            title=document.title,
            media_type=document.media_type,
            size=sealed.size,
            sha256=sealed.sha256,
            site=site,
            sealed_at=sealed.sealed_at,
            software=sealed.software,
            sealed_later=sealed.sealed_later,
            href=urls.document_url(study_id, document.name, cut, site),
        )


class SealProgressAnswer(BaseModel):
    """The progress of sealing a data cut. It counts the files of all sites, whoever asks."""

    stage: Annotated[SealStage, Field(description="figures are sealed first, then the documents that repeat them")]
    done: Annotated[int, Field(description="files of this stage that are made")]
    total: Annotated[int, Field(description="files of this stage")]
    updated_at: Annotated[datetime, Field(description="when these numbers were last confirmed, once a second or so")]

    @classmethod
    def from_progress(cls, progress: SealProgress) -> SealProgressAnswer:
        return cls(stage=progress.stage, done=progress.done, total=progress.total, updated_at=progress.updated_at)


class CutDocumentsAnswer(BaseModel):
    """The documents of a data cut that the caller may get. `complete`: false while some are still missing."""

    study_id: str
    cut: str
    position: int
    complete: bool
    progress: Annotated[
        SealProgressAnswer | None, Field(description="of the sealing of the data cut; null when nothing is being made")
    ]
    rows: list[DocumentDescription]

    @classmethod
    def from_documents(cls, study_id: str, documents: CutDocuments) -> CutDocumentsAnswer:
        cut = documents.cut
        return cls(
            study_id=study_id,
            cut=cut.name,
            position=cut.position,
            complete=documents.is_complete,
            progress=SealProgressAnswer.from_progress(documents.progress) if documents.progress else None,
            rows=[DocumentDescription.from_row(study_id, cut.name, row) for row in documents.rows],
        )
