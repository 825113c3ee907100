"""Models of responses: handlers build them, and the OpenAPI document has their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi.responses import Response
from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

_TAG_DESCRIPTION = (
    '`"3"` is version 3; after a hyphen follows what else the answer depends on. Send it as `If-None-Match` to read '
    "only what has changed, or as `If-Match` to record a fact only at this version"
)
_CONTENT_TAG_DESCRIPTION = "of the content; send it as `If-None-Match`: the answer is 304 if nothing has changed"
ResponseHeaders = Mapping[str, Any]


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


VERSION_HEADER = {
    "Quartal-Version": _header(
        "the service and the version there, such as `enrollment=3`; to be sent to other services as `Quartal-After`"
    )
}
RECORD_HEADERS: ResponseHeaders = {"ETag": _header(_TAG_DESCRIPTION), **VERSION_HEADER}
CONTENT_HEADERS: ResponseHeaders = {"ETag": _header(_CONTENT_TAG_DESCRIPTION)}
RECORDED_HEADERS: ResponseHeaders = {
    "ETag": _header('the version, `"3"`'),
    **VERSION_HEADER,
    "Idempotency-Replayed": _header("`true`: the answer to an earlier request under this key; nothing was recorded"),
}
CREATED_HEADERS: ResponseHeaders = {**RECORDED_HEADERS, "Location": _header("the address of the new record")}
RETRY_HEADERS: ResponseHeaders = {
    "Retry-After": {"description": "seconds after which to send the request again", "schema": {"type": "integer"}}
}
CHALLENGE_HEADERS: ResponseHeaders = {"WWW-Authenticate": _header("what is wrong with the token (RFC 6750)")}
ALLOW_HEADERS: ResponseHeaders = {"Allow": _header("the methods of this address")}

REFUSAL_DESCRIPTIONS: Mapping[int, str] = {
    400: "The body is not valid JSON",
    401: "The access token is missing or invalid",
    403: "The caller's role does not allow it",
    404: "It does not exist, or the caller may not see it",
    408: "The request took too long to arrive",
    409: "The site uses the reference already, or the service does not know yet what the request names",
    412: "The record is at another version than If-Match names",
    413: "The body is too large",
    415: "The body is not plain application/json",
    422: "The form of the request or its content is refused",
    429: "The caller has too many requests under way",
    503: "The service or its database is busy: send the request again",
}
"""Descriptions of refusals by status, the same for every route."""

NOT_MODIFIED: dict[str, Any] = {
    "description": "Nothing has changed since the answer that If-None-Match names",
    "headers": dict(CONTENT_HEADERS),
}

FactContent = Annotated[
    dict[str, Any],
    Field(description="the content of the fact; its schema is `/schemas/<type>.v<schema_version>.reader.json`"),
]


RecordedTime = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in UTC, with the offset `+00:00` in JSON."""


class Recorded(BaseModel):
    """The recorded event or events, and the version of the record after them. Times are RFC 3339, in UTC."""

    study_id: str | None = None
    participant_id: str | None = None
    version: int
    recorded_at: RecordedTime | None = None
    event_id: UUID | None = None
    event_ids: list[UUID] | None = None
    dry_run: bool | None = None
    would_record: list[dict[str, Any]] | None = None


class StandingFact(BaseModel):
    type: str
    data: FactContent


class StudyAnswer(BaseModel):
    """The current facts of the study itself, in the order of recording."""

    study_id: str
    version: int
    facts: list[StandingFact]


class ParticipantRow(BaseModel):
    """Only enrollment gives `status`. Other services give `enrollment_version`: the version there that they know."""

    participant_id: str
    site_id: str | None
    status: str | None = None
    enrollment_version: int | None = None
    version: int


class ParticipantPage(BaseModel):
    """One page. `next` is the value of `after` for the next page; it is null on the last page."""

    rows: list[ParticipantRow]
    next: str | None


class FoundParticipants(BaseModel):
    """Participants of the caller's own sites with that reference: at most one at each site."""

    rows: list[ParticipantRow]


class StandingEvent(BaseModel):
    event_id: UUID
    type: str
    data: FactContent


class ParticipantAnswer(ParticipantRow):
    """The current facts of a participant in this service. Only the current site reads sealed texts."""

    facts: list[StandingEvent]


class HistoryEvent(BaseModel):
    """`standing` is false where the event was voided. `schema_version` is given where it is not the present one. Where
    `texts_shown` is true, the caller may read the event's sealed texts: a text that is null was not stated."""

    event_id: UUID
    version: int
    type: str
    schema_version: int | None = None
    data: FactContent
    texts_shown: bool
    recorded_at: RecordedTime
    recorded_by: str | None
    standing: bool
    corrected_by: UUID | None


class HistoryAnswer(BaseModel):
    """Every event as it was first stated, in the order of versions."""

    events: list[HistoryEvent]


class FeedRow(BaseModel):
    """`site_id` is the site that stated the fact."""

    participant_id: str
    version: int
    event_id: UUID
    type: str
    schema_version: int
    site_id: str | None
    data: FactContent
    recorded_at: RecordedTime


class FeedAnswer(BaseModel):
    """With `since`, the answer has a `cursor`: give it as `since` the next time, even if there were no rows. Without
    `since`, it has `next`: the value of `after` for the next page; null on the last page."""

    rows: list[FeedRow]
    next: str | None = None
    cursor: str | None = None


class ExportRow(BaseModel):
    export_id: UUID
    what: str
    exported_by: str
    site_id: str | None
    begun_at: RecordedTime
    ended_at: RecordedTime
    pages: int
    rows: int


class ExportPage(BaseModel):
    """One page. `next` is the value of `after` for the next page; it is null on the last page."""

    rows: list[ExportRow]
    next: int | None


class ReadRow(BaseModel):
    """`site_id` and `participant_id` are the site and the participant that the read was restricted to. `address` is the
    address of the client."""

    read_by: str
    read_at: RecordedTime
    address: str
    what: str
    site_id: str | None
    participant_id: str | None
    rows: int


class ReadPage(BaseModel):
    """One page. `next` is the value of `after` for the next page; it is null on the last page."""

    rows: list[ReadRow]
    next: int | None


def model_response(answer: BaseModel, headers: Mapping[str, str] | None = None, *, status: int = 200) -> Response:
    """Returns the response with the members of the answer that were given."""
    return Response(answer.model_dump_json(exclude_unset=True), status, headers, media_type="application/json")


def read_route_options(model: type[BaseModel], headers: ResponseHeaders = CONTENT_HEADERS) -> dict[str, Any]:
    """Returns the options that declare a route that reads: response model, headers, and status 304."""
    not_modified = {**NOT_MODIFIED, "headers": dict(headers)}
    return {
        "response_model": model,
        "tags": ["reading"],
        "responses": {200: {"headers": dict(headers)}, 304: not_modified},
    }
