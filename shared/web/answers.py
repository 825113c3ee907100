"""What reads answer with, as OpenAPI describes it: the handlers make the JSON, tests hold it to these schemas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

_TAG = (
    '`"3"` is version 3; what else the answer depends on follows after a hyphen. Send it back as `If-None-Match`, or, '
    "to guard the version, as `If-Match`"
)
_CONTENT_TAG = "of the content; send it back as `If-None-Match`: 304 if it is the same still"
Headers = Mapping[str, Any]


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


VERSION_HEADER = {"Quartal-Version": _header("`enrollment=3`: the service, and the version there; for `Quartal-After`")}
RECORD_HEADERS: Headers = {"ETag": _header(_TAG), **VERSION_HEADER}
CONTENT_HEADERS: Headers = {"ETag": _header(_CONTENT_TAG)}
RECORDED_HEADERS: Headers = {
    "ETag": _header("the version, `\"3\"`"), **VERSION_HEADER,
    "Idempotency-Replayed": _header("`true`: the request was answered before under this key; nothing was recorded now"),
}  # fmt: skip
CREATED_HEADERS: Headers = {**RECORDED_HEADERS, "Location": _header("the address of what was registered")}
RETRY_HEADERS: Headers = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
CHALLENGE_HEADERS: Headers = {"WWW-Authenticate": _header("RFC 6750: what is wrong with the token")}
ALLOW_HEADERS: Headers = {"Allow": _header("the methods of this address")}

NOT_MODIFIED: dict[str, Any] = {
    "description": "The client holds it already (If-None-Match)", "headers": dict(CONTENT_HEADERS)
}  # fmt: skip

Content = Annotated[
    dict[str, Any],
    Field(description="the content of a fact of that type, as in `/schemas/<type>.v<schema_version>.reader.json`"),
]


class StandingFact(BaseModel):
    type: str
    data: Content


class StudyAnswer(BaseModel):
    """The study's own facts as they stand, in the order of recording."""

    study_id: str
    version: int
    facts: list[StandingFact]


class ParticipantRow(BaseModel):
    """`status` is enrollment's; `enrollment_version`, of other services, is the version there that is known here."""

    participant_id: str
    site_id: str | None
    status: str | None = None
    enrollment_version: int | None = None
    version: int


class ParticipantPage(BaseModel):
    """`next` is what `after` takes for the following page; null on the last."""

    rows: list[ParticipantRow]
    next: str | None


class FoundParticipants(BaseModel):
    """Those of the caller's own sites with the reference that was searched for: one at most at each site."""

    rows: list[ParticipantRow]


class StandingEvent(BaseModel):
    event_id: UUID
    type: str
    data: Content


class ParticipantAnswer(ParticipantRow):
    """The participant as this service knows it: the facts that stand. Sealed texts are shown to their own site only."""

    facts: list[StandingEvent]


class HistoryEvent(BaseModel):
    """`standing`: nothing voided it. `schema_version` is given where it is not today's. `texts_shown`: the caller reads
    the event's sealed texts, so that one that is null was not stated."""

    event_id: UUID
    version: int
    type: str
    schema_version: int | None = None
    data: Content
    texts_shown: bool
    recorded_at: datetime
    recorded_by: str | None
    standing: bool
    corrected_by: UUID | None


class HistoryAnswer(BaseModel):
    """Everything as first stated, in the order of versions."""

    events: list[HistoryEvent]


class FeedRow(BaseModel):
    """`site_id` is the site that stated it."""

    participant_id: str
    version: int
    event_id: UUID
    type: str
    schema_version: int
    site_id: str | None
    data: Content
    recorded_at: datetime


class FeedAnswer(BaseModel):
    """With `since`: `cursor`, which `since` takes the next time, even after an answer without rows. Else: `next`, which
    `after` takes for the following page; null on the last."""

    rows: list[FeedRow]
    next: str | None = None
    cursor: str | None = None


class ExportRow(BaseModel):
    export_id: UUID
    what: str
    exported_by: str
    site_id: str | None
    begun_at: datetime
    ended_at: datetime
    pages: int
    rows: int


class ExportPage(BaseModel):
    """`next` is what `after` takes for the following page; null on the last."""

    rows: list[ExportRow]
    next: int | None


class ReadRow(BaseModel):
    """`site_id`, `participant_id`: what the read was restricted to. `address` is the client's."""

    read_by: str
    read_at: datetime
    address: str
    what: str
    site_id: str | None
    participant_id: str | None
    rows: int


class ReadPage(BaseModel):
    """`next` is what `after` takes for the following page; null on the last."""

    rows: list[ReadRow]
    next: int | None


def reads(model: type[BaseModel], headers: Headers = CONTENT_HEADERS) -> dict[str, Any]:
    """How a route that reads is declared: what it answers with, under which headers, and 304."""
    held = {**NOT_MODIFIED, "headers": dict(headers)}
    return {"response_model": model, "tags": ["reading"], "responses": {200: {"headers": dict(headers)}, 304: held}}
