"""Records the facts of a request: builds the command from headers and body, and the response from the result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, Field

from shared.eventstore.command import RecordedFacts, RecordFacts, VersionGuard
from shared.kernel.errors import Fault, FormRejected, MistypedParticipant, NotFound, RequestRejected
from shared.kernel.fact import Fact
from shared.kernel.ids import normalize_participant_id
from shared.kernel.patterns import explain_pattern
from shared.offload import offload
from shared.web.bounded_request import CheckedRequest
from shared.web.container import get_container
from shared.web.entitlement import AFTER_PATTERN, STUDY_ID
from shared.web.entity_tags import IF_MATCH_FORM, parse_if_match
from shared.web.response_models import Recorded, model_response
from shared.web.service import get_service

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_IDEMPOTENCY_KEY = explain_pattern(r"^[\x21-\x7e]{1,200}$", "Give 1 to 200 printable ASCII characters without blanks.")
IDEMPOTENCY_KEY = re.compile(_IDEMPOTENCY_KEY)
REPLAYED_HEADERS = {"Idempotency-Replayed": "true"}
"""The header of a response that repeats the result of an earlier request."""


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
        raise MistypedParticipant(str(error)) from None


StudyIdPath = Annotated[str, Path(alias="study_id", examples=["atc-rt"]), BeforeValidator(_validate_study_id)]
ParticipantIdPath = Annotated[
    str, Path(alias="participant_id", examples=["K7F2-9QXA-3"]), BeforeValidator(_validate_participant_id)
]
DryRun = Annotated[bool, Query(description="check the request, and record nothing")]
FactHeaders = Annotated[RequestHeaders, Header()]


async def record_facts(
    request: Request,
    headers: RequestHeaders,
    *,
    study: str,
    stream: str | None,
    facts: Sequence[tuple[str, Fact]],
    dry_run: bool,
    opens_study: bool = False,
) -> Response:
    """Records the facts, pairs of (JSON pointer into the body, fact), and returns the response. Raises RequestError.

    `stream` is None for a new participant.
    """
    command = RecordFacts(
        study_id=study,
        stream_id=stream,
        facts=tuple(fact for _, fact in facts),
        pointers=tuple(pointer for pointer, _ in facts),
        member=request.state.caller.subject,
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
        raise FormRejected(
            "The header If-Match cannot be read.",
            faults=[Fault("schema-if-match", f"header if-match: {IF_MATCH_FORM}")],
        ) from None


def _request_identity(request: Request, headers: RequestHeaders) -> bytes:
    """Returns the bytes that identify the request under its idempotency key. Requests with equal bytes are the same."""
    if headers.idempotency_key is None or not isinstance(request, CheckedRequest):
        return b""
    return request_identity(request.url.path, headers.if_match or "", request.parsed_body.canonical_json or b"")


def request_identity(path: str, if_match: str, canonical_json: bytes) -> bytes:
    """Returns the bytes that identify a POST to the JSON route of this path, with this If-Match and body.

    The fourth line is always "False": it once had `dry_run`, and dry runs are not stored.
    """
    return "\n".join(["POST", path, if_match, "False"]).encode() + b"\n" + canonical_json


def _valid_traceparent(header: str | None) -> str | None:
    return header if header and _TRACEPARENT.fullmatch(header) else None


def _describe_recorded(recorded_facts: RecordedFacts) -> Recorded:
    """Returns the answer with the study or participant, and the version, alone."""
    if recorded_facts.stream_id == recorded_facts.study_id:
        return Recorded(study_id=recorded_facts.stream_id, version=recorded_facts.version)
    return Recorded(participant_id=recorded_facts.stream_id, version=recorded_facts.version)


def _dry_run_response(recorded_facts: RecordedFacts, facts: Sequence[Fact], *, is_new_stream: bool) -> Response:
    """Returns the facts that would be recorded. A new participant has no number yet; sealed texts are left out."""
    answer = Recorded(version=recorded_facts.version) if is_new_stream else _describe_recorded(recorded_facts)
    answer.dry_run = True
    answer.would_record = [{"type": fact.type_name, "data": fact.model_dump(mode="json")} for fact in facts]
    return model_response(answer)


def _replayed_dry_run_response(recorded_facts: RecordedFacts) -> Response:
    """Returns the response to the dry run of a request that was recorded already: it would record nothing more."""
    answer = _describe_recorded(recorded_facts)
    answer.recorded_at, answer.event_ids = recorded_facts.recorded_at, list(recorded_facts.event_ids)
    answer.dry_run, answer.would_record = True, []
    return model_response(answer, REPLAYED_HEADERS)


def _created_response(
    request: Request, recorded_facts: RecordedFacts, *, is_batch: bool, is_new_stream: bool
) -> Response:
    answer = _describe_recorded(recorded_facts)
    answer.recorded_at, answer.event_id = recorded_facts.recorded_at, recorded_facts.event_ids[0]
    if is_batch:
        answer.event_ids = list(recorded_facts.event_ids)
    headers = {
        "ETag": f'"{recorded_facts.version}"',
        "Quartal-Version": f"{get_container(request).service}={recorded_facts.version}",
    }
    if recorded_facts.replayed:
        headers |= REPLAYED_HEADERS
    if is_new_stream:
        headers["Location"] = f"{request.url.path}/{recorded_facts.stream_id}"
    return model_response(answer, headers, status=201)


def rejection_at(code: str, message: str, pointer: str) -> RequestRejected:
    return RequestRejected(message, code=code, faults=[Fault(code, message, pointer)])
