"""What a service shows of its participants: to those who may see them, and sealed text to their own site only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic_core import to_json

from shared.apart import apart
from shared.contracts.event import Event, history
from shared.contracts.study import MemberGranted, MemberRevoked, SiteActivated
from shared.eventstore.known import last_words
from shared.eventstore.sealing import opener
from shared.eventstore.store import Head, Recalled
from shared.eventstore.studies import StudyState, rights_in
from shared.gate.study import require_site
from shared.kernel.fact import Corrected, Fact
from shared.kernel.ids import SiteId
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.kernel.record import standing
from shared.kernel.refusal import NotFound, wrong_parameter
from shared.kernel.sealed import revealed
from shared.security.cursors import LONGEST_CURSOR
from shared.security.grants import EVERY_SITE, Rights, readable_tenants
from shared.security.tenancy import Tenant
from shared.security.vault import Vault
from shared.web.answers import (
    RECORD_HEADERS,
    FeedAnswer,
    HistoryAnswer,
    ParticipantAnswer,
    ParticipantPage,
    StudyAnswer,
    reads,
)
from shared.web.entity_tags import content_tag, version_tag
from shared.web.exports import ExportOf, note_page
from shared.web.feed import FeedScope, Texts, own_texts, recorded_since
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import ParticipantOf, StudyOf, refusals, router
from shared.web.service import Service

T = TypeVar("T")
Opened = Mapping[int, Mapping[str, str]]
"""Sealed texts by the version of their event, as far as the caller may read them."""
Site = Annotated[SiteId | None, Query(description="only this site")]
_NEXT_PARTICIPANT = explain_pattern("^[0-9A-Z-]{0,11}$", NEXT_SENTENCE)
_NEXT_FACT = explain_pattern(r"^([0-9A-Z-]{1,11}\.[0-9]{1,9})?$", NEXT_SENTENCE)
Limit = Annotated[int, Query(ge=1, le=1000)]
_SINCE = (
    "`cursor` of an earlier answer; empty to begin. The facts recorded after it follow, in the order of recording. No "
    "fact is left out, even if others are recorded at the same time"
)
UNCOMPRESSED = {"Cache-Control": "private, no-cache, no-transform"}
"""Of answers that show sealed texts: see `shared/web/compression.py`."""
Status = Literal["screening", "screen_failed", "consented", "enrolled", "withdrawn", "voided"]


async def study(request: Request, study: StudyOf) -> JSONResponse:
    """Returns the current facts of the study itself, with their version. Staff of a site and readers see only their
    own grants, and those at their own site."""
    rights, state = await member_rights(request, study)
    shown = (each.fact for each in state.record.stated if _is_shown(each.fact, rights))
    facts = [{"type": fact.type_name, "data": fact.model_dump(mode="json")} for fact in shown]
    more = [] if len(facts) == len(state.record.stated) else [content_tag(to_json(facts)).strip('"')]
    headers = _versioned(request, state.version, more)
    return JSONResponse({"study_id": study, "version": state.version, "facts": facts}, headers=headers)


@logs_reads
async def participants(
    request: Request,
    study: StudyOf,
    site: Site = None,
    status: Status | None = None,
    after: Annotated[str, Query(pattern=_NEXT_PARTICIPANT, description="`next` of the page before")] = "",
    limit: Limit = 100,
) -> JSONResponse:
    """Lists the participants that the caller may see, in a stable order, in pages."""
    rights, state = await member_rights(request, study)
    tenants = readable_tenants(rights, site)
    require_site(state.record, site)
    if status and not running_service(request).recorder.registers:
        raise wrong_parameter(
            "status", "Only enrollment knows the status of participants. Ask enrollment, or leave this parameter out."
        )
    rows: list[tuple[str, Head]] = []
    for tenant in tenants:
        async with running_service(request).store.unit(Tenant(study, tenant)) as unit:
            rows += await unit.listing(site=site, status=status, search_key=None, after=after, limit=limit + 1)
    rows = sorted(rows, key=lambda row: row[0])
    shown = [{"participant_id": name, **describe_head(head)} for name, head in rows[:limit]]
    note_rows(request, study, "participants", len(shown), site=site)
    return JSONResponse({"rows": shown, "next": rows[limit - 1][0] if len(rows) > limit else None})


@logs_reads
async def participant(request: Request, study: StudyOf, number: ParticipantOf) -> JSONResponse:
    """Returns the current facts of a participant in this service. Only the present site reads sealed texts."""
    recalled, opened = await _recalled(request, study, number)
    facts = await _in_turn(request, recalled, lambda: _standing_facts(recalled.events, opened))
    head = {"participant_id": number, **describe_head(recalled.head)}
    note_rows(request, study, "participant", len(facts), participant=number)
    return JSONResponse({**head, "facts": facts}, headers=_of_record(request, recalled, opened))


@logs_reads
async def participant_history(request: Request, study: StudyOf, number: ParticipantOf) -> JSONResponse:
    """Lists every event of a participant as it was first stated, in order, and the corrections of each.

    Where `texts_shown` is true, the caller may read the sealed texts of the event: a text that is null was not stated.
    """
    recalled, opened = await _recalled(request, study, number)
    rows = await _in_turn(request, recalled, lambda: list(_told_events(recalled.events, opened)))
    note_rows(request, study, "history", len(rows), participant=number)
    return JSONResponse({"events": rows}, headers=_of_record(request, recalled, opened))


async def _in_turn(request: Request, recalled: Recalled, work: Callable[[], T]) -> T:
    """A long record is put into words in the event loop's lane, so that nobody else waits for it."""
    return await apart(request.state.caller.subject, work, if_large=len(recalled.events))


def _standing_facts(events: Sequence[Event], opened: Opened) -> list[dict[str, Any]]:
    """The facts that stand. Besides its own texts, a correction's event has the reason of the correction."""
    facts, words = [], last_words(events)
    for each in standing(history(events)).stated:
        event, within = words[str(each.event_id)]
        data = each.fact.model_dump(mode="json")
        said = opened.get(event.version, {}).items()
        texts = {pointer.removeprefix(within): text for pointer, text in said if pointer.startswith(f"{within}/")}
        facts.append({"event_id": str(each.event_id), "type": each.fact.type_name, "data": revealed(data, texts)})
    return facts


def _told_events(events: Sequence[Event], opened: Opened) -> Iterator[dict[str, Any]]:
    corrected = _corrected_by(events)
    stands = {str(stated.event_id) for stated in standing(history(events)).stated} | set(corrected.values())
    for event in events:
        yield {
            "event_id": str(event.event_id),
            "version": event.version,
            "type": event.type,
            **_if_earlier(event),
            "data": revealed(event.content, opened.get(event.version, {})),
            "texts_shown": event.version in opened,
            "recorded_at": event.recorded_at.isoformat(),
            "recorded_by": event.meta.get("recorded_by"),
            "standing": str(event.event_id) in stands,
            "corrected_by": corrected.get(str(event.event_id)),
        }


@logs_reads
async def facts(
    request: Request,
    study: StudyOf,
    site: Site = None,
    after: Annotated[str, Query(pattern=_NEXT_FACT, description="`next` of the page before")] = "",
    since: Annotated[str | None, Query(max_length=LONGEST_CURSOR, description=_SINCE)] = None,
    limit: Limit = 100,
    export: ExportOf = None,
) -> JSONResponse:
    """Lists the facts as sites stated them: participant by participant, or, with `since`, in the order of recording.

    With `since` a site reads every fact that it stated itself; after a transfer without the sealed texts. Without
    `since` it reads only the facts of participants who are at the site now.
    """
    rights, state = await member_rights(request, study)
    scope = FeedScope(study, readable_tenants(rights, site), site, rights.has_site)
    require_site(state.record, site)
    if since is not None:
        if after:
            raise wrong_parameter("after", "Give either after or since, not both.")
        page = await recorded_since(running_service(request), scope, since, limit)
        await note_page(request, study, export, "facts", site, "since" if since else "", len(page.events))
        return _feed(page.events, page.texts, cursor=page.cursor)
    every = [active.site_id for active in state.record.facts(SiteActivated) if site in (None, active.site_id)]
    stream, _, version = after.partition(".")
    events: list[Event] = []
    texts: dict[UUID, Mapping[str, str]] = {}
    for tenant in scope.tenants:
        stating = every if tenant == EVERY_SITE else [tenant]
        async with running_service(request).store.unit(Tenant(study, tenant)) as unit:
            events += (fed := await unit.feed(sites=stating, after=(stream, int(version or 0)), limit=limit + 1))
            if rights.has_site(tenant):
                texts |= await own_texts(unit, running_service(request).vault, fed)
    events = sorted(events, key=lambda event: (event.stream_id, event.version))
    shown, more = events[:limit], len(events) > limit
    await note_page(request, study, export, "facts", site, after, len(shown))
    return _feed(shown, texts, next=f"{shown[-1].stream_id}.{shown[-1].version}" if more else None)


def _feed(events: Sequence[Event], texts: Texts, **place: str | None) -> JSONResponse:
    rows = [
        {"participant_id": event.stream_id, "version": event.version, "event_id": str(event.event_id),
         "type": event.type, "schema_version": event.schema_version, "site_id": event.site_id,
         "data": revealed(event.content, texts.get(event.event_id, {})),
         "recorded_at": event.recorded_at.isoformat()}
        for event in events
    ]  # fmt: skip
    shows_texts = any(texts.get(event.event_id) for event in events)
    return JSONResponse({"rows": rows, **place}, headers=UNCOMPRESSED if shows_texts else {})


def reading_routes(service: str, *, registers: bool = False) -> APIRouter:
    """The reads of a service; of studies themselves where they are registered."""
    made = router(f"/{service}/v1/studies/{{study_id}}")
    if registers:
        made.get("", **reads(StudyAnswer, RECORD_HEADERS))(study)
    made.get("/participants", **reads(ParticipantPage))(participants)
    one = "/participants/{participant_id}"
    made.get(one, **reads(ParticipantAnswer, RECORD_HEADERS))(participant)
    made.get(f"{one}/history", **reads(HistoryAnswer, RECORD_HEADERS))(participant_history)
    feed = reads(FeedAnswer)
    feed["responses"] |= refusals({410: "The database was restored after the cursor was given"})
    made.get("/facts", **feed)(facts)
    return made


def _if_earlier(event: Event) -> dict[str, int]:
    """The schema version that an event was written in, where that is not today's."""
    today = event.stream.facts[event.type].schema_version
    return {} if event.schema_version == today else {"schema_version": event.schema_version}


def running_service(request: Request) -> Service:
    running: Service = request.app.state.running
    return running


async def member_rights(request: Request, study: str) -> tuple[Rights, StudyState]:
    return await rights_in(running_service(request).studies, study, request.state.caller.subject)


def _is_shown(fact: Fact, rights: Rights) -> bool:
    return not isinstance(fact, MemberGranted | MemberRevoked) or rights.sees_member(fact.member, fact.site_id)


async def _recalled(request: Request, study: str, number: str) -> tuple[Recalled, Opened]:
    """The stream, and its sealed texts by version, as far as the caller may read them."""
    rights, _ = await member_rights(request, study)
    service = running_service(request)
    for tenant in readable_tenants(rights, None):
        async with service.store.unit(Tenant(study, tenant)) as unit:
            recalled = await unit.recall(number)
            if not recalled.head.is_there:
                continue
            own = _own_events(rights, recalled)
            key = await unit.data_key(own[0].stream_id) if own else None
        return recalled, await _in_turn(request, recalled, partial(_opened_texts, service.vault, key, own))
    raise NotFound


def _own_events(rights: Rights, recalled: Recalled) -> list[Event]:
    """The events that the participant's site stated, for its own staff."""
    site = recalled.head.site_id or ""
    return [event for event in recalled.events if event.site_id == site] if rights.has_site(site) else []


def _opened_texts(vault: Vault, key: bytes | None, own: Sequence[Event]) -> Opened:
    opened = opener(vault, key)
    return {event.version: opened(event) if event.sealed else {} for event in own if key or not event.sealed}


def _corrected_by(events: Sequence[Event]) -> dict[str, str]:
    corrections = (event for event in events if event.type == Corrected.type_name)
    return {json.loads(event.data)["event_id"]: str(event.event_id) for event in corrections}


def describe_head(head: Head) -> dict[str, Any]:
    """`status` where participants are registered; elsewhere up to which version of there they are known."""
    known = {"enrollment_version": head.known} if head.known else {"status": head.summary.get("status")}
    return {"site_id": head.site_id, **known, "version": head.version}


def _of_record(request: Request, recalled: Recalled, opened: Opened) -> dict[str, str]:
    """The tag names all that the answer depends on: the version, what is known from enrollment, and hidden texts."""
    more = [f"e{recalled.head.known}"] if recalled.head.known else []
    if len(opened) < len(recalled.events):
        more.append(f"r{len(opened)}")
    return {**_versioned(request, recalled.head.version, more), **(UNCOMPRESSED if any(opened.values()) else {})}


def _versioned(request: Request, version: int, more: Sequence[str] = ()) -> dict[str, str]:
    return {"ETag": version_tag(version, more), "Quartal-Version": f"{request.app.state.service}={version}"}
