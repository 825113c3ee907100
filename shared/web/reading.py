"""What a service shows of its participants: to those who may see them, and sealed text to their own site only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from shared.contracts.event import Event, history
from shared.contracts.study import MemberGranted, MemberRevoked, SiteActivated
from shared.eventstore.known import last_word
from shared.eventstore.sealing import opener
from shared.eventstore.store import Head, Recalled, Unit
from shared.eventstore.studies import rights_in
from shared.kernel.fact import Corrected, Fact
from shared.kernel.ids import SiteId
from shared.kernel.record import standing
from shared.kernel.refusal import NotFound, NotYourRole, wrong_parameter
from shared.kernel.sealed import revealed
from shared.security.cursors import LONGEST_CURSOR
from shared.security.grants import EVERY_SITE, Rights
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
from shared.web.entity_tags import digest, version_tag
from shared.web.exports import ExportOf, note_page
from shared.web.feed import FeedScope, Texts, own_texts, recorded_since
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import ParticipantOf, StudyOf, refusals, router
from shared.web.service import Service

Site = Annotated[SiteId | None, Query(description="of this site only")]
Limit = Annotated[int, Query(ge=1, le=1000)]
_SINCE = (
    "in the order of recording, behind the `cursor` of an earlier answer; empty: from the beginning. No fact is left "
    "out, whatever is recorded meanwhile"
)
UNCOMPRESSED = {"Cache-Control": "private, no-cache, no-transform"}
"""Of answers that show sealed texts: see `shared/web/compression.py`."""
Status = Literal["screening", "screen_failed", "consented", "enrolled", "withdrawn", "voided"]


async def study(request: Request, study: StudyOf) -> JSONResponse:
    """The study's own facts as they stand, and the version they are at. Staff of a site and readers see only their own
    grants among those of members, and those of their own site."""
    rights, state = await member_rights(request, study)
    stated = [each.fact for each in state.record.stated]
    shown = [(place, fact) for place, fact in enumerate(stated) if _is_shown(fact, rights)]
    facts = [{"type": fact.type_name, "data": fact.model_dump(mode="json")} for _, fact in shown]
    places = ",".join(str(place) for place, _ in shown)
    more = [f"m{digest(places.encode(), 8)}"] if len(shown) < len(stated) else []
    return JSONResponse(
        {"study_id": study, "version": state.version, "facts": facts}, headers=_versioned(request, state.version, more)
    )


@logs_reads
async def participants(
    request: Request,
    study: StudyOf,
    site: Site = None,
    status: Status | None = None,
    after: Annotated[str, Query(pattern="^[0-9A-Z-]{0,11}$")] = "",
    limit: Limit = 100,
) -> JSONResponse:
    """Participants in a stable order, a page at a time."""
    rights, _ = await member_rights(request, study)
    if status and not running_service(request).recorder.registers:
        raise wrong_parameter("status", "That is asked of enrollment.")
    rows: list[tuple[str, Head]] = []
    for tenant in _sites(rights, site):
        async with running_service(request).store.unit(Tenant(study, tenant)) as unit:
            rows += await unit.listing(site=site, status=status, search_key=None, after=after, limit=limit + 1)
    rows = sorted(rows, key=lambda row: row[0])
    shown = [{"participant_id": name, **describe_head(head)} for name, head in rows[:limit]]
    note_rows(request, study, "participants", len(shown), site=site)
    return JSONResponse({"rows": shown, "next": rows[limit - 1][0] if len(rows) > limit else None})


@logs_reads
async def participant(request: Request, study: StudyOf, number: ParticipantOf) -> JSONResponse:
    """The participant as this service knows it today: the facts that stand, sealed text for the own site only."""
    _, recalled, opened = await _recalled(request, study, number)
    facts = []
    for each in standing(history(recalled.events)).stated:
        event, within = last_word(recalled.events, str(each.event_id)) or (recalled.events[0], "")
        data = each.fact.model_dump(mode="json")
        said = opened.get(event.version, {}).items()  # besides the fact's own texts, a correction's reason
        texts = {pointer.removeprefix(within): text for pointer, text in said if pointer.startswith(f"{within}/")}
        facts.append({"event_id": str(each.event_id), "type": each.fact.type_name, "data": revealed(data, texts)})
    head = {"participant_id": number, **describe_head(recalled.head)}
    note_rows(request, study, "participant", len(facts), participant=number)
    return JSONResponse({**head, "facts": facts}, headers=_of_record(request, recalled, opened))


@logs_reads
async def participant_history(request: Request, study: StudyOf, number: ParticipantOf) -> JSONResponse:
    """Everything that was stated, as first stated, in order: what stands, and by what it was corrected.

    `texts_shown`: the caller reads the sealed texts of that event, so that a text that is null was not stated.
    """
    _, recalled, opened = await _recalled(request, study, number)
    corrected = _corrected_by(recalled.events)
    stands = {str(stated.event_id) for stated in standing(history(recalled.events)).stated} | set(corrected.values())
    rows = [
        {
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
        for event in recalled.events
    ]
    note_rows(request, study, "history", len(rows), participant=number)
    return JSONResponse({"events": rows}, headers=_of_record(request, recalled, opened))


@logs_reads
async def facts(
    request: Request,
    study: StudyOf,
    site: Site = None,
    after: Annotated[str, Query(pattern=r"^([0-9A-Z-]{1,11}\.[0-9]{1,9})?$", description="what `next` said")] = "",
    since: Annotated[str | None, Query(max_length=LONGEST_CURSOR, description=_SINCE)] = None,
    limit: Limit = 100,
    export: ExportOf = None,
) -> JSONResponse:
    """What sites stated, as stated: by participant, or, with `since`, in the order of recording.

    With `since` a site reads whatever it stated itself, after a transfer too, though then without sealed text; by
    participant, only of those that it has today.
    """
    rights, state = await member_rights(request, study)
    scope = FeedScope(study, _sites(rights, site), site, rights.has_site)
    if since is not None:
        if after:
            raise wrong_parameter("after", "Give after or since, not both.")
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
    feed["responses"] |= refusals({410: "The database was restored since the cursor was given"})
    made.get("/facts", **feed)(facts)
    return made


def _if_earlier(event: Event) -> dict[str, int]:
    """The schema version that an event was written in, where that is not today's."""
    today = event.stream.facts[event.type].schema_version
    return {} if event.schema_version == today else {"schema_version": event.schema_version}


def running_service(request: Request) -> Service:
    running: Service = request.app.state.running
    return running


async def member_rights(request: Request, study: str) -> tuple[Rights, Any]:
    return await rights_in(running_service(request).studies, study, request.state.caller.subject)


def _sites(rights: Rights, site: str | None) -> list[str]:
    """The scopes to look under: every site where the member sees every site, else each of the member's own."""
    if not rights.visible:
        raise NotYourRole
    seen = [EVERY_SITE] if EVERY_SITE in rights.visible else sorted(rights.visible)
    return [each for each in seen if site in (None, each) or each == EVERY_SITE]


def _is_shown(fact: Fact, rights: Rights) -> bool:
    return not isinstance(fact, MemberGranted | MemberRevoked) or rights.sees_member(fact.member, fact.site_id)


async def _recalled(
    request: Request, study: str, number: str
) -> tuple[Rights, Recalled, Mapping[int, Mapping[str, str]]]:
    """The stream, and its sealed texts by version, as far as the caller may read them."""
    rights, _ = await member_rights(request, study)
    for tenant in _sites(rights, None):
        async with running_service(request).store.unit(Tenant(study, tenant)) as unit:
            recalled = await unit.recall(number)
            if recalled.head.is_there:
                return rights, recalled, await _texts(unit, running_service(request).vault, rights, recalled)
    raise NotFound


async def _texts(unit: Unit, vault: Vault, rights: Rights, recalled: Recalled) -> Mapping[int, Mapping[str, str]]:
    """Return the texts of every event that the caller may read them of, by version."""
    site = recalled.head.site_id or ""
    own = [event for event in recalled.events if event.site_id == site] if rights.has_site(site) else []
    key = await unit.data_key(own[0].stream_id) if own else None
    opened = opener(vault, key)
    return {event.version: opened(event) if event.sealed else {} for event in own if key or not event.sealed}


def _corrected_by(events: Sequence[Event]) -> dict[str, str]:
    corrections = (event for event in events if event.type == Corrected.type_name)
    return {json.loads(event.data)["event_id"]: str(event.event_id) for event in corrections}


def describe_head(head: Head) -> dict[str, Any]:
    """`status` where participants are registered; elsewhere up to which version of there they are known."""
    known = {"enrollment_version": head.known} if head.known else {"status": head.summary.get("status")}
    return {"site_id": head.site_id, **known, "version": head.version}


def _of_record(request: Request, recalled: Recalled, opened: Mapping[int, Mapping[str, str]]) -> dict[str, str]:
    """The tag names all that the answer depends on: the version, what is known from enrollment, and hidden texts."""
    more = [f"e{recalled.head.known}"] if recalled.head.known else []
    if len(opened) < len(recalled.events):
        more.append(f"r{len(opened)}")
    return {**_versioned(request, recalled.head.version, more), **(UNCOMPRESSED if any(opened.values()) else {})}


def _versioned(request: Request, version: int, more: Sequence[str] = ()) -> dict[str, str]:
    return {"ETag": version_tag(version, more), "Quartal-Version": f"{request.app.state.service}={version}"}
