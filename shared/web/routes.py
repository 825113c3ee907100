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

from shared.apart import apart
from shared.eventstore.statement import Recording, Statement, VersionGuard
from shared.kernel.fact import Fact, Member, Stream, one_of
from shared.kernel.ids import participant_id
from shared.kernel.patterns import explain_pattern
from shared.kernel.refusal import Fault, NotFound, Unacceptable
from shared.web.answers import CREATED_HEADERS, RECORDED_HEADERS, REFUSALS
from shared.web.body import CheckedRequest, CheckedRoute
from shared.web.entitlement import AFTER, STUDY, stated_by
from shared.web.entity_tags import IF_MATCH_FORM, versions
from shared.web.problems import MEDIA_TYPE

MOST_FACTS = 200
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_KEY = explain_pattern(r"^[\x21-\x7e]{1,200}$", "Give 1 to 200 printable ASCII characters without blanks.")
Answers = dict[int | str, dict[str, Any]]


def refusals(by_status: Mapping[int, str]) -> Answers:
    """Problem documents as OpenAPI describes them: status, and what it says."""
    shown = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": said, "content": shown} for status, said in by_status.items()}


Record = Callable[[Statement], Awaitable[Recording]]


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


REPLAYED = {"Idempotency-Replayed": "true"}
"""The header of an answer that repeats the outcome of an earlier request."""
_REPLAYED = {
    "Idempotency-Replayed": {
        "description": "`true`: the key was used before, and this is the answer to that request",
        "schema": {"type": "string", "const": "true"},
    }
}
RECORDS: dict[str, Any] = {
    "status_code": 201,
    "response_model": Recorded,
    "response_model_exclude_none": True,
    "responses": {
        200: {
            "model": Recorded,
            "description": "Dry run: the facts are acceptable, and nothing was recorded",
            "headers": _REPLAYED,
        },
        201: {"headers": {**RECORDED_HEADERS, **_REPLAYED}},
    },
    "tags": ["facts"],
}
"""How a route that states facts is declared."""
REGISTERS: dict[str, Any] = {
    **RECORDS, "responses": {**RECORDS["responses"], 201: {"headers": dict(CREATED_HEADERS)}}
}  # fmt: skip
"""How a route is declared that registers a study or a participant besides."""


class Headers(BaseModel):
    """Headers that every POST takes."""

    idempotency_key: Annotated[
        str | None,
        Field(
            pattern=_KEY,
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
            pattern=AFTER,
            description="`Quartal-Version` of an answer of enrollment: the service waits until it knows that version",
        ),
    ] = None


def _study(value: object) -> object:
    if not (isinstance(value, str) and STUDY.fullmatch(value)):
        raise NotFound
    return value


def _participant(value: object) -> str:
    try:
        return participant_id(value)
    except ValueError as wrong:
        raise Unacceptable(str(wrong), code="bad-participant-number") from None


StudyOf = Annotated[str, Path(alias="study_id", examples=["atc-rt"]), BeforeValidator(_study)]
ParticipantOf = Annotated[str, Path(alias="participant_id", examples=["K7F2-9QXA-3"]), BeforeValidator(_participant)]
DryRun = Annotated[bool, Query(description="check the request, and record nothing")]
Said = Annotated[Headers, Header()]


def router(prefix: str) -> APIRouter:
    return APIRouter(prefix=prefix, route_class=CheckedRoute, responses=refusals(REFUSALS))


async def state(
    request: Request,
    headers: Headers,
    study: str,
    stream: str | None,
    facts: Sequence[tuple[str, Fact]],
    dry_run: bool,
    *,
    opens_study: bool = False,
) -> JSONResponse:
    """Record what was said; `facts` are pairs of pointer into the body and fact."""
    statement = Statement(
        study,
        stream,
        tuple(fact for _, fact in facts),
        tuple(pointer for pointer, _ in facts),
        request.state.caller.subject,
        request=_same_request(request, headers),
        key=headers.idempotency_key,
        if_match=_version_guard(request),
        dry_run=dry_run,
        opens_study=opens_study,
        traceparent=_trace(headers.traceparent),
        after=int(headers.quartal_after.partition("=")[2]) if headers.quartal_after else None,
    )
    recording: Recording = await request.app.state.record(statement)
    several = len(facts) > 1 or bool(facts[0][0])
    if dry_run and recording.replayed:
        return _tried_again(recording)
    if dry_run:
        stated = [fact for _, fact in facts]
        return await apart(statement.by, lambda: _tried(recording, stated, new=stream is None), if_large=len(stated))
    return _answer(request, recording, many=several, new=stream is None)


def _version_guard(request: Request) -> VersionGuard | None:
    lines = request.headers.getlist("if-match")
    try:
        return VersionGuard(versions(lines)) if lines else None
    except ValueError:
        raise Unacceptable(
            "The header If-Match cannot be read.",
            code="schema",
            faults=[Fault("schema-if-match", f"header if-match: {IF_MATCH_FORM}")],
        ) from None


def _same_request(request: Request, headers: Headers) -> bytes:
    """Return the bytes that make two requests the same, whether they are dry runs or not.

    The third line was once `dry_run`; only requests that were recorded are stored, so it is always False.
    """
    if headers.idempotency_key is None or not isinstance(request, CheckedRequest):
        return b""
    said = [request.method, request.url.path, headers.if_match or "", "False"]
    return "\n".join(said).encode() + b"\n" + (request.content.canonical or b"")


def _trace(header: str | None) -> str | None:
    return header if header and _TRACE.fullmatch(header) else None


def _named(recording: Recording) -> dict[str, Any]:
    of_study = recording.stream_id == recording.study_id
    return {"study_id" if of_study else "participant_id": recording.stream_id}


def _tried(recording: Recording, facts: Sequence[Fact], *, new: bool) -> JSONResponse:
    """What would be recorded. A new participant has no number yet; sealed texts are not sent back."""
    said = [{"type": fact.type_name, "data": fact.model_dump(mode="json")} for fact in facts]
    name = {} if new else _named(recording)
    return JSONResponse({**name, "version": recording.version, "dry_run": True, "would_record": said})


def _tried_again(recording: Recording) -> JSONResponse:
    """Answer the dry run of a request that was recorded already: it would record nothing more."""
    said = {**_named(recording), "version": recording.version, "recorded_at": recording.recorded_at.isoformat()}
    ids = [str(event_id) for event_id in recording.event_ids]
    return JSONResponse({**said, "event_ids": ids, "dry_run": True, "would_record": []}, headers=REPLAYED)


def _answer(request: Request, recording: Recording, *, many: bool, new: bool) -> JSONResponse:
    said = _named(recording)
    ids = [str(event_id) for event_id in recording.event_ids]
    said |= {"version": recording.version, "recorded_at": recording.recorded_at.isoformat(), "event_id": ids[0]}
    if many:
        said["event_ids"] = ids
    headers = {"ETag": f'"{recording.version}"', "Quartal-Version": f"{request.app.state.service}={recording.version}"}
    if recording.replayed:
        headers |= REPLAYED
    if new:
        headers["Location"] = f"{request.url.path}/{recording.stream_id}"
    return JSONResponse(said, 201, headers)


def fact_routes(stream: Stream, base: str, *, but: type[Fact] | None = None) -> APIRouter:
    """One POST per fact of the stream, under `{base}/facts/`; and, of participants, one for several at once."""
    made = router(base)
    for fact in (each for each in stream.facts.values() if each is not but):
        made.post(f"/facts/{fact.type_name}", name=fact.type_name, **_as(fact))(_one(stream, fact))
    if stream.subject == "participant":
        made.post("/facts", name="facts", **_as(None, "Records several facts, in any order: all of them, or none."))(
            _many(stream)
        )
    return made


def _as(fact: type[Fact] | None, said: str = "") -> dict[str, Any]:
    return {**RECORDS, "description": said or _described(fact)}


def _described(fact: type[Fact] | None) -> str:
    if fact is None:
        return ""
    own = fact.__doc__ if "__doc__" in vars(fact) and fact.__doc__ else ""
    return f"{own.strip()}\n\nRoles that may state it: {', '.join(sorted(fact.by))}.".strip()


def _one(stream: Stream, model: type[Fact]) -> Callable[..., Any]:
    if stream.subject == "study":

        async def of_study(request: Request, said: Said, study: StudyOf, fact: Fact, dry_run: DryRun = False) -> Any:
            return await state(request, said, study, study, [("", fact)], dry_run)

        of_study.__annotations__["fact"] = model
        return stated_by(model.by)(of_study)

    async def of_participant(
        request: Request, said: Said, study: StudyOf, number: ParticipantOf, fact: Fact, dry_run: DryRun = False
    ) -> Any:
        return await state(request, said, study, number, [("", fact)], dry_run)

    of_participant.__annotations__["fact"] = model
    return stated_by(model.by)(of_participant)


def _many(stream: Stream) -> Callable[..., Any]:
    async def of_participant(
        request: Request, said: Said, study: StudyOf, number: ParticipantOf, batch: Any, dry_run: DryRun = False
    ) -> Any:
        return await state(request, said, study, number, facts_of(batch), dry_run)

    listed, whole = batch_of(stream, "Facts")
    forms: Any = Annotated[whole, Tag("object")] | Annotated[listed, Tag("list")]
    of_participant.__annotations__["batch"] = Annotated[forms, Discriminator(form_of_batch)]
    return stated_by(role for fact in stream.facts.values() for role in fact.by)(of_participant)


def form_of_batch(body: object) -> str:
    """Return "list" for a list of facts, and "object" for `{"facts": […]}`."""
    return "list" if isinstance(body, list) else "object"


def facts_of(batch: Any) -> list[tuple[str, Fact]]:
    """The facts of a batch in either form, each with its pointer into the body."""
    base, facts = ("", batch) if isinstance(batch, list) else ("/facts", batch.facts)
    return [(f"{base}/{place}/data", restated.data) for place, restated in enumerate(facts)]


def batch_of(stream: Stream, name: str) -> tuple[Any, type[Member]]:
    """A list of `{type, data}` over the stream's facts; and `{"facts": […]}` with it, as a model of that name."""
    entry: Any = one_of(stream.facts.values())
    listed: Any = Annotated[list[entry], Field(min_length=1, max_length=MOST_FACTS)]
    return listed, create_model(name, __base__=Member, facts=(listed, ...))


def refuse_pointer(code: str, message: str, pointer: str) -> Unacceptable:
    return Unacceptable(message, code=code, faults=[Fault(code, message, pointer)])
