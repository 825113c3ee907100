"""Routes made from facts: a fact's class is the request body, its name the path, its docstring the description."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, create_model

from shared.eventstore.command import RecordedFacts, RecordFacts, VersionGuard
from shared.kernel.errors import Fault, NotFound, RequestRejected
from shared.kernel.fact import Fact, FactPart, Stream, fact_union
from shared.kernel.ids import normalize_participant_id
from shared.kernel.patterns import explain_pattern
from shared.offload import offload
from shared.web.bounded_request import CheckedRequest
from shared.web.container import get_container
from shared.web.entitlement import AFTER_PATTERN, STUDY_ID, require_roles
from shared.web.entity_tags import IF_MATCH_FORM, parse_if_match
from shared.web.problems import MEDIA_TYPE
from shared.web.response_models import CREATED_HEADERS, RECORDED_HEADERS, REFUSAL_DESCRIPTIONS
from shared.web.route_classes import CheckedRoute
from shared.web.service import get_service

MAX_BATCH_FACTS = 200
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_IDEMPOTENCY_KEY = explain_pattern(r"^[\x21-\x7e]{1,200}$", "Give 1 to 200 printable ASCII characters without blanks.")
OpenApiResponses = dict[int | str, dict[str, Any]]


def refusal_responses(by_status: Mapping[int, str]) -> OpenApiResponses:
    """Problem documents as OpenAPI describes them: status, and what it says."""
    media_types = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": sentence, "content": media_types} for status, sentence in by_status.items()}


RecordFunction = Callable[[RecordFacts], Awaitable[RecordedFacts]]


class Recorded(BaseModel):
    """The recorded event or events, and the version of the record after them. Times are RFC 3339, in UTC."""

    study_id: str | None = None
    participant_id: str | None = None
    event_id: UUID | None = None
    event_ids: list[UUID] | None = None
    version: int
    recorded_at: datetime | None = None
    dry_run: bool | None = None
    would_record: list[dict[str, Any]] | None = None


REPLAYED_HEADERS = {"Idempotency-Replayed": "true"}
"""The header of an answer that repeats the outcome of an earlier request."""
_REPLAYED_HEADER_DOCS = {
    "Idempotency-Replayed": {
        "description": "`true`: the key was used before, and this is the answer to that request",
        "schema": {"type": "string", "const": "true"},
    }
}
FACT_ROUTE_OPTIONS: dict[str, Any] = {
    "status_code": 201,
    "response_model": Recorded,
    "response_model_exclude_none": True,
    "responses": {
        200: {
            "model": Recorded,
            "description": "Dry run: the facts are acceptable, and nothing was recorded",
            "headers": _REPLAYED_HEADER_DOCS,
        },
        201: {"headers": {**RECORDED_HEADERS, **_REPLAYED_HEADER_DOCS}},
    },
    "tags": ["facts"],
}
"""How a route that states facts is declared."""
REGISTRATION_ROUTE_OPTIONS: dict[str, Any] = {
    **FACT_ROUTE_OPTIONS,
    "responses": {**FACT_ROUTE_OPTIONS["responses"], 201: {"headers": dict(CREATED_HEADERS)}},
}
"""How a route is declared that registers a study or a participant besides."""


class RequestHeaders(BaseModel):
    """Headers that every POST takes."""

    idempotency_key: Annotated[
        str | None,
        Field(
            pattern=_IDEMPOTENCY_KEY,
            description="makes a repeat safe: the same request under the same key gets the first answer again",
        ),
    ] = None
    if_match: Annotated[
        str | None,
        Field(description='ETag of the version that you read, such as `"3"`; or a list; or `*`. Others are refused'),
    ] = None
    traceparent: Annotated[str | None, Field(description="W3C Trace Context; it is passed on to Kafka")] = None
    quartal_after: Annotated[
        str | None,
        Field(
            pattern=AFTER_PATTERN,
            description="`Quartal-Version` of an answer of enrollment: the service waits until it knows that version",
        ),
    ] = None


def _validate_study_id(value: object) -> object:
    if not (isinstance(value, str) and STUDY_ID.fullmatch(value)):
        raise NotFound
    return value


def _validate_participant_id(value: object) -> str:
    try:
        return normalize_participant_id(value)
    except ValueError as error:
        raise RequestRejected(str(error), code="bad-participant-number") from None


StudyIdPath = Annotated[str, Path(alias="study_id", examples=["atc-rt"]), BeforeValidator(_validate_study_id)]
ParticipantIdPath = Annotated[
    str, Path(alias="participant_id", examples=["K7F2-9QXA-3"]), BeforeValidator(_validate_participant_id)
]
DryRun = Annotated[bool, Query(description="check the request, and record nothing")]
FactHeaders = Annotated[RequestHeaders, Header()]


def create_router(prefix: str) -> APIRouter:
    return APIRouter(prefix=prefix, route_class=CheckedRoute, responses=refusal_responses(REFUSAL_DESCRIPTIONS))


async def record_facts(
    request: Request,
    headers: RequestHeaders,
    study: str,
    stream: str | None,
    facts: Sequence[tuple[str, Fact]],
    dry_run: bool,
    *,
    opens_study: bool = False,
) -> JSONResponse:
    """Record what was said; `facts` are pairs of pointer into the body and fact."""
    command = RecordFacts(
        study,
        stream,
        tuple(fact for _, fact in facts),
        tuple(pointer for pointer, _ in facts),
        request.state.caller.subject,
        request=_request_identity(request, headers),
        key=headers.idempotency_key,
        if_match=_version_guard(request),
        dry_run=dry_run,
        opens_study=opens_study,
        traceparent=_valid_traceparent(headers.traceparent),
        after=int(headers.quartal_after.partition("=")[2]) if headers.quartal_after else None,
    )
    recorded_facts: RecordedFacts = await get_service(request).record(command)
    is_batch = len(facts) > 1 or bool(facts[0][0])
    if dry_run and recorded_facts.replayed:
        return _replayed_dry_run_response(recorded_facts)
    if dry_run:
        stated = [fact for _, fact in facts]
        return await offload(
            command.member,
            lambda: _dry_run_response(recorded_facts, stated, is_new_stream=stream is None),
            item_count=len(stated),
        )
    return _created_response(request, recorded_facts, is_batch=is_batch, is_new_stream=stream is None)


def _version_guard(request: Request) -> VersionGuard | None:
    field_lines = request.headers.getlist("if-match")
    try:
        return VersionGuard(parse_if_match(field_lines)) if field_lines else None
    except ValueError:
        raise RequestRejected(
            "The header If-Match cannot be read.",
            code="schema",
            faults=[Fault("schema-if-match", f"header if-match: {IF_MATCH_FORM}")],
        ) from None


def _request_identity(request: Request, headers: RequestHeaders) -> bytes:
    """Return the bytes that make two requests the same, whether they are dry runs or not.

    The third line was once `dry_run`; only requests that were recorded are stored, so it is always False.
    """
    if headers.idempotency_key is None or not isinstance(request, CheckedRequest):
        return b""
    parts = [request.method, request.url.path, headers.if_match or "", "False"]
    return "\n".join(parts).encode() + b"\n" + (request.parsed_body.canonical_json or b"")


def _valid_traceparent(header: str | None) -> str | None:
    return header if header and _TRACEPARENT.fullmatch(header) else None


def _stream_id_field(recorded_facts: RecordedFacts) -> dict[str, Any]:
    of_study = recorded_facts.stream_id == recorded_facts.study_id
    return {"study_id" if of_study else "participant_id": recorded_facts.stream_id}


def _dry_run_response(recorded_facts: RecordedFacts, facts: Sequence[Fact], *, is_new_stream: bool) -> JSONResponse:
    """What would be recorded. A new participant has no number yet; sealed texts are not sent back."""
    facts_as_json = [{"type": fact.type_name, "data": fact.model_dump(mode="json")} for fact in facts]
    stream_field = {} if is_new_stream else _stream_id_field(recorded_facts)
    return JSONResponse(
        {**stream_field, "version": recorded_facts.version, "dry_run": True, "would_record": facts_as_json}
    )


def _replayed_dry_run_response(recorded_facts: RecordedFacts) -> JSONResponse:
    """Answer the dry run of a request that was recorded already: it would record nothing more."""
    content = {
        **_stream_id_field(recorded_facts),
        "version": recorded_facts.version,
        "recorded_at": recorded_facts.recorded_at.isoformat(),
    }
    ids = [str(event_id) for event_id in recorded_facts.event_ids]
    return JSONResponse({**content, "event_ids": ids, "dry_run": True, "would_record": []}, headers=REPLAYED_HEADERS)


def _created_response(
    request: Request, recorded_facts: RecordedFacts, *, is_batch: bool, is_new_stream: bool
) -> JSONResponse:
    content = _stream_id_field(recorded_facts)
    ids = [str(event_id) for event_id in recorded_facts.event_ids]
    content |= {
        "version": recorded_facts.version,
        "recorded_at": recorded_facts.recorded_at.isoformat(),
        "event_id": ids[0],
    }
    if is_batch:
        content["event_ids"] = ids
    headers = {
        "ETag": f'"{recorded_facts.version}"',
        "Quartal-Version": f"{get_container(request).service}={recorded_facts.version}",
    }
    if recorded_facts.replayed:
        headers |= REPLAYED_HEADERS
    if is_new_stream:
        headers["Location"] = f"{request.url.path}/{recorded_facts.stream_id}"
    return JSONResponse(content, 201, headers)


def fact_routes(stream: Stream, base: str, *, excluded: type[Fact] | None = None) -> APIRouter:
    """One POST per fact of the stream, under `{base}/facts/`; and, of participants, one for several at once."""
    routes = create_router(base)
    for fact in (each for each in stream.facts.values() if each is not excluded):
        routes.post(f"/facts/{fact.type_name}", name=fact.type_name, **_route_options(fact))(
            _single_fact_endpoint(stream, fact)
        )
    if stream.subject == "participant":
        routes.post(
            "/facts", name="facts", **_route_options(None, "Records several facts, in any order: all of them, or none.")
        )(_batch_endpoint(stream))
    return routes


def _route_options(fact: type[Fact] | None, text: str = "") -> dict[str, Any]:
    return {**FACT_ROUTE_OPTIONS, "description": text or _describe_fact(fact)}


def _describe_fact(fact: type[Fact] | None) -> str:
    if fact is None:
        return ""
    docstring = fact.__doc__ if "__doc__" in vars(fact) and fact.__doc__ else ""
    return f"{docstring.strip()}\n\nRoles that may state it: {', '.join(sorted(fact.stated_by_roles))}.".strip()


def _single_fact_endpoint(stream: Stream, model: type[Fact]) -> Callable[..., Any]:
    if stream.subject == "study":

        async def record_study_fact(
            request: Request, headers: FactHeaders, study: StudyIdPath, fact: Fact, dry_run: DryRun = False
        ) -> Any:
            return await record_facts(request, headers, study, study, [("", fact)], dry_run)

        record_study_fact.__annotations__["fact"] = model
        return require_roles(model.stated_by_roles)(record_study_fact)

    async def record_participant_fact(
        request: Request,
        headers: FactHeaders,
        study: StudyIdPath,
        number: ParticipantIdPath,
        fact: Fact,
        dry_run: DryRun = False,
    ) -> Any:
        return await record_facts(request, headers, study, number, [("", fact)], dry_run)

    record_participant_fact.__annotations__["fact"] = model
    return require_roles(model.stated_by_roles)(record_participant_fact)


def _batch_endpoint(stream: Stream) -> Callable[..., Any]:
    async def record_batch(
        request: Request,
        headers: FactHeaders,
        study: StudyIdPath,
        number: ParticipantIdPath,
        batch: Any,
        dry_run: DryRun = False,
    ) -> Any:
        return await record_facts(request, headers, study, number, facts_with_pointers(batch), dry_run)

    list_model, object_model = batch_models(stream, "Facts")
    batch_model: Any = Annotated[object_model, Tag("object")] | Annotated[list_model, Tag("list")]
    record_batch.__annotations__["batch"] = Annotated[batch_model, Discriminator(batch_form)]
    return require_roles(role for fact in stream.facts.values() for role in fact.stated_by_roles)(record_batch)


def batch_form(body: object) -> str:
    """Return "list" for a list of facts, and "object" for `{"facts": […]}`."""
    return "list" if isinstance(body, list) else "object"


def facts_with_pointers(batch: Any) -> list[tuple[str, Fact]]:
    """The facts of a batch in either form, each with its pointer into the body."""
    base, facts = ("", batch) if isinstance(batch, list) else ("/facts", batch.facts)
    return [(f"{base}/{place}/data", restated.data) for place, restated in enumerate(facts)]


def batch_models(stream: Stream, name: str) -> tuple[Any, type[FactPart]]:
    """A list of `{type, data}` over the stream's facts; and `{"facts": […]}` with it, as a model of that name."""
    entry: Any = fact_union(stream.facts.values())
    list_model: Any = Annotated[list[entry], Field(min_length=1, max_length=MAX_BATCH_FACTS)]
    return list_model, create_model(name, __base__=FactPart, facts=(list_model, ...))


def rejection_at(code: str, message: str, pointer: str) -> RequestRejected:
    return RequestRejected(message, code=code, faults=[Fault(code, message, pointer)])
