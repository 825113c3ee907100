"""The documents of data cuts over HTTP: their list, and each at an address of its own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.documents.answers import CutDocumentsAnswer
from services.analytics.documents.document import Document
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.service import DocumentAnswer, DocumentService
from shared.kernel.ids import SiteId
from shared.kernel.patterns import explain_pattern
from shared.web.container import Resources, get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.file_names import content_disposition
from shared.web.read_logging import logs_reads, note_no_rows, note_rows
from shared.web.response_models import CONTENT_HEADERS, NOT_MODIFIED, model_response, read_route_options

_AT_PATTERN = explain_pattern(r"^[A-Za-z0-9_.:-]{1,68}$", "Give cut:<name> of a data cut.")
routes = create_router("/analytics/v1/studies/{study_id}")


@dataclass(frozen=True, kw_only=True)
class DocumentResources(Resources):
    """The resources of the documents of data cuts."""

    documents: DocumentService


class DocumentParameters(BaseModel):
    """The data cut whose documents are asked for, and a site whose participants alone they have."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str, Field(pattern=_AT_PATTERN, description="`cut:<name>` of a data cut")]
    site: Annotated[SiteId | None, Field(description="only the participants of this site")] = None


DocumentQuery = Annotated[DocumentParameters, Query()]


def _service(request: Request) -> DocumentService:
    return get_container(request).get_resources(DocumentResources).documents


@routes.get("/documents", **read_route_options(CutDocumentsAnswer), summary="Documents of a data cut")
async def documents(request: Request, study: StudyIdPath, document_query: DocumentQuery) -> Response:
    """Lists the documents that are kept with a data cut: their sizes, the SHA-256 of their bytes, and addresses."""
    documents_at_cut = await _service(request).documents(
        study, request.state.caller.subject, document_query.at, document_query.site
    )
    return model_response(CutDocumentsAnswer.from_documents(study, documents_at_cut))


def _document_endpoint(document: Document) -> Callable[..., Awaitable[Response]]:
    async def endpoint(request: Request, study: StudyIdPath, document_query: DocumentQuery) -> Response:
        answer = await _service(request).document(
            document.name, study, request.state.caller.subject, document_query.at, document_query.site
        )
        if document.person_level:
            note_rows(request, study, document.name, answer.row.sealed.participant_rows, site=answer.row.scope.site_id)
        else:
            note_no_rows(request)
        return _file_response(study, answer)

    endpoint.__name__ = document.name.replace(".", "_").replace("-", "_")
    return logs_reads(endpoint)


def _file_response(study: str, answer: DocumentAnswer) -> Response:
    """Returns the stored bytes with their SHA-256 (RFC 9530)."""
    document, site, cut = answer.row.document, answer.row.scope.site_id, answer.cut
    parts = [study, document.stem, *([f"site-{site}"] if site else []), f"cut-{cut.name}", f"cut-{cut.cut_on}"]
    digest = b64encode(bytes.fromhex(answer.row.sealed.sha256)).decode()
    headers = content_disposition(parts, cut.position, document.extension)
    return Response(
        answer.content,
        media_type=document.media_type,
        headers={**headers, "Repr-Digest": f"sha-256=:{digest}:"},
    )


def _route_options(document: Document) -> dict[str, Any]:
    media_type = document.media_type.partition(";")[0]
    schema = {"type": "string", "format": "binary"}
    return {
        "tags": ["reading"],
        "summary": f"{document.title} (at a data cut)",
        "description": (
            "Returns what was stored when the data cut was sealed: the same bytes for ever, whatever is recorded later "
            "and whatever the release. It exists at named data cuts alone."
        ),
        "responses": {
            200: {
                "content": {media_type: {"schema": schema}},
                "description": document.title,
                "headers": dict(CONTENT_HEADERS),
            },
            304: NOT_MODIFIED,
            **refusal_responses({503: "The data cut is being sealed"}),
        },
        "response_class": Response,
    }


for _document in DOCUMENTS.values():
    routes.get(f"/{_document.name}", **_route_options(_document))(_document_endpoint(_document))
