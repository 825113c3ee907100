"""Routes that read participants and facts, within the caller's rights. Only the own site reads sealed texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic_core import to_json

from shared.contracts.event import Event, stated_facts
from shared.contracts.participation import EnrollmentStatus
from shared.contracts.study import MemberGranted, MemberRevoked, SiteActivated
from shared.eventstore.store import StreamHead
from shared.eventstore.stream_cache import latest_content_sources
from shared.gate.study_timeline import require_site
from shared.kernel.errors import parameter_error
from shared.kernel.fact import Correction, Fact
from shared.kernel.ids import SiteId
from shared.kernel.patterns import NEXT_SENTENCE, explain_pattern
from shared.kernel.record import current_record
from shared.kernel.sealed_text import insert_texts
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.security.cursors import MAX_CURSOR_LENGTH
from shared.security.grants import Rights, readable_tenants
from shared.web.entity_tags import content_tag
from shared.web.event_feed import EventTexts, FeedScope, open_own_texts, read_feed
from shared.web.export_log_routes import ExportParameter, LimitParameter, log_page
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.fact_routes import create_router, refusal_responses
from shared.web.read_access import (
    UNCOMPRESSED_HEADERS,
    TextsByVersion,
    describe_participant,
    load_caller_rights,
    load_visible_stream,
    offload_for_caller,
    record_headers,
    version_headers,
)
from shared.web.read_logging import logs_reads, note_rows
from shared.web.response_models import (
    RECORD_HEADERS,
    FeedAnswer,
    FeedRow,
    HistoryAnswer,
    HistoryEvent,
    ParticipantAnswer,
    ParticipantPage,
    StandingEvent,
    StandingFact,
    StudyAnswer,
    model_response,
    read_route_options,
)
from shared.web.service import get_service

T = TypeVar("T")
SiteParameter = Annotated[SiteId | None, Query(description="only this site")]
_PARTICIPANT_CURSOR = explain_pattern("^[0-9A-Z-]{0,11}$", NEXT_SENTENCE)
_FACT_CURSOR = explain_pattern(r"^([0-9A-Z-]{1,11}\.[0-9]{1,9})?$", NEXT_SENTENCE)
_SINCE_DESCRIPTION = (
    "`cursor` of an earlier answer; empty to begin. The facts recorded after it follow, in the order of recording. No "
    "fact is left out, even if others are recorded at the same time"
)


async def study(request: Request, study: StudyIdPath) -> Response:
    """Returns the current facts of the study itself, with their version. Staff of a site and readers see only their
    own grants, and those at their own site."""
    rights, state = await load_caller_rights(request, study)
    visible_facts = (stated.fact for stated in state.record.stated_facts if _is_visible(stated.fact, rights))
    facts = [StandingFact(type=fact.type_name, data=fact.model_dump(mode="json")) for fact in visible_facts]
    tag_parts = [] if len(facts) == len(state.record.stated_facts) else [content_tag(to_json(facts)).strip('"')]
    headers = version_headers(request, state.version, tag_parts)
    return model_response(StudyAnswer(study_id=study, version=state.version, facts=facts), headers)


@logs_reads
async def participants(
    request: Request,
    study: StudyIdPath,
    site: SiteParameter = None,
    status: EnrollmentStatus | None = None,
    after: Annotated[str, Query(pattern=_PARTICIPANT_CURSOR, description="`next` of the page before")] = "",
    limit: LimitParameter = 100,
) -> Response:
    """Lists the participants that the caller may see, in a stable order, in pages."""
    rights, state = await load_caller_rights(request, study)
    tenants = readable_tenants(rights, site)
    require_site(state.record, site)
    if status and not get_service(request).command_handler.owns_participants:
        raise parameter_error(
            "status", "Only enrollment knows the status of participants. Ask enrollment, or leave this parameter out."
        )
    rows: list[tuple[str, StreamHead]] = []
    async with get_service(request).store.snapshot([Tenant(study, tenant) for tenant in tenants]) as snapshot:
        async for _, unit in snapshot:
            rows += await unit.list_streams(site=site, status=status, search_key=None, after=after, limit=limit + 1)
    rows = sorted(rows, key=lambda row: row[0])
    page = [describe_participant(number, head) for number, head in rows[:limit]]
    note_rows(request, study, "participants", len(page), site=site)
    return model_response(ParticipantPage(rows=page, next=rows[limit - 1][0] if len(rows) > limit else None))


@logs_reads
async def participant(request: Request, study: StudyIdPath, participant_id: ParticipantIdPath) -> Response:
    """Returns the current facts of a participant in this service. Only the current site reads sealed texts."""
    stream, texts = await load_visible_stream(request, study, participant_id)
    facts = await offload_for_caller(request, stream, lambda: _current_facts(stream.events, texts))
    row = describe_participant(participant_id, stream.head)
    note_rows(request, study, "participant", len(facts), participant=participant_id)
    answer = ParticipantAnswer(**row.model_dump(exclude_unset=True), facts=facts)
    return model_response(answer, record_headers(request, stream, texts))


@logs_reads
async def participant_history(request: Request, study: StudyIdPath, participant_id: ParticipantIdPath) -> Response:
    """Lists every event of a participant as it was first stated, in order, and the corrections of each.

    Where `texts_shown` is true, the caller may read the sealed texts of the event: a text that is null was not stated.
    """
    stream, texts = await load_visible_stream(request, study, participant_id)
    rows = await offload_for_caller(request, stream, lambda: list(_history_events(stream.events, texts)))
    note_rows(request, study, "history", len(rows), participant=participant_id)
    return model_response(HistoryAnswer(events=rows), record_headers(request, stream, texts))


def _current_facts(events: Sequence[Event], texts_by_version: TextsByVersion) -> list[StandingEvent]:
    """Returns the current facts with their texts. A correction's event also contains the reason, which is left out."""
    facts, sources = [], latest_content_sources(events)
    for stated in current_record(stated_facts(events)).stated_facts:
        event, prefix = sources[str(stated.event_id)]
        data = stated.fact.model_dump(mode="json")
        event_texts = texts_by_version.get(event.version, {}).items()
        texts = {
            pointer.removeprefix(prefix): text for pointer, text in event_texts if pointer.startswith(f"{prefix}/")
        }
        facts.append(
            StandingEvent(event_id=stated.event_id, type=stated.fact.type_name, data=insert_texts(data, texts))
        )
    return facts


def _history_events(events: Sequence[Event], texts_by_version: TextsByVersion) -> Iterator[HistoryEvent]:
    corrections = _corrections_by_event(events)
    standing_ids = {stated.event_id for stated in current_record(stated_facts(events)).stated_facts}
    standing_ids |= set(corrections.values())
    for event in events:
        row = HistoryEvent(
            event_id=event.event_id,
            version=event.version,
            type=event.type,
            data=insert_texts(event.content, texts_by_version.get(event.version, {})),
            texts_shown=event.version in texts_by_version,
            recorded_at=event.recorded_at,
            recorded_by=event.meta.get("recorded_by"),
            standing=event.event_id in standing_ids,
            corrected_by=corrections.get(event.event_id),
        )
        if event.schema_version != event.stream.facts[event.type].schema_version:
            row.schema_version = event.schema_version
        yield row


@logs_reads
async def facts(
    request: Request,
    study: StudyIdPath,
    site: SiteParameter = None,
    after: Annotated[str, Query(pattern=_FACT_CURSOR, description="`next` of the page before")] = "",
    since: Annotated[str | None, Query(max_length=MAX_CURSOR_LENGTH, description=_SINCE_DESCRIPTION)] = None,
    limit: LimitParameter = 100,
    export: ExportParameter = None,
) -> Response:
    """Lists the facts as sites stated them: participant by participant, or, with `since`, in the order of recording.

    With `since` a site reads every fact that it stated itself; after a transfer without the sealed texts. Without
    `since` it reads only the facts of participants who are at the site now.
    """
    rights, state = await load_caller_rights(request, study)
    scope = FeedScope(study, readable_tenants(rights, site), site, rights.is_site_staff)
    require_site(state.record, site)
    log_feed_page = partial(log_page, request, study, export, resource="facts", site=site)
    if since is not None:
        if after:
            raise parameter_error("after", "Give either after or since, not both.")
        page = await read_feed(get_service(request), scope, since, limit)
        await log_feed_page(after="since" if since else "", rows=len(page.events))
        return _feed_response(FeedAnswer(rows=_feed_rows(page.events, page.texts), cursor=page.cursor), page.texts)
    all_sites = [active.site_id for active in state.record.facts_of(SiteActivated) if site in (None, active.site_id)]
    stream, _, version = after.partition(".")
    events: list[Event] = []
    texts: dict[UUID, Mapping[str, str]] = {}
    service = get_service(request)
    async with service.store.snapshot([Tenant(study, tenant) for tenant in scope.tenants]) as snapshot:
        async for tenant, unit in snapshot:
            stating_sites = all_sites if tenant.site_id == EVERY_SITE else [tenant.site_id]
            events += (
                tenant_events := await unit.list_events(
                    sites=stating_sites, after=(stream, int(version or 0)), limit=limit + 1
                )
            )
            if rights.is_site_staff(tenant.site_id):
                texts |= await open_own_texts(unit, service.vault, tenant_events)
    events = sorted(events, key=lambda event: (event.stream_id, event.version))
    page_events, has_more = events[:limit], len(events) > limit
    await log_feed_page(after=after, rows=len(page_events))
    next_page = f"{page_events[-1].stream_id}.{page_events[-1].version}" if has_more else None
    return _feed_response(FeedAnswer(rows=_feed_rows(page_events, texts), next=next_page), texts)


def _feed_rows(events: Sequence[Event], texts: EventTexts) -> list[FeedRow]:
    return [
        FeedRow(
            participant_id=event.stream_id,
            version=event.version,
            event_id=event.event_id,
            type=event.type,
            schema_version=event.schema_version,
            site_id=event.site_id,
            data=insert_texts(event.content, texts.get(event.event_id, {})),
            recorded_at=event.recorded_at,
        )
        for event in events
    ]


def _feed_response(answer: FeedAnswer, texts: EventTexts) -> Response:
    shows_texts = any(texts.get(row.event_id) for row in answer.rows)
    return model_response(answer, UNCOMPRESSED_HEADERS if shows_texts else {})


def read_routes(service: str, *, owns_participants: bool = False) -> APIRouter:
    """Returns the routes that read facts of a service, and of studies themselves in the service that owns them."""
    routes = create_router(f"/{service}/v1/studies/{{study_id}}")
    if owns_participants:
        routes.get("", **read_route_options(StudyAnswer, RECORD_HEADERS))(study)
    routes.get("/participants", **read_route_options(ParticipantPage))(participants)
    participant_path = "/participants/{participant_id}"
    routes.get(participant_path, **read_route_options(ParticipantAnswer, RECORD_HEADERS))(participant)
    routes.get(f"{participant_path}/history", **read_route_options(HistoryAnswer, RECORD_HEADERS))(participant_history)
    feed_options = read_route_options(FeedAnswer)
    feed_options["responses"] |= refusal_responses({410: "The database was restored after the cursor was given"})
    routes.get("/facts", **feed_options)(facts)
    return routes


def _is_visible(fact: Fact, rights: Rights) -> bool:
    return not isinstance(fact, MemberGranted | MemberRevoked) or rights.may_see_member(fact.member, fact.site_id)


def _corrections_by_event(events: Sequence[Event]) -> dict[UUID, UUID]:
    """Returns the last correction of each corrected event."""
    corrections = (event for event in events if event.type == Correction.type_name)
    return {UUID(json.loads(event.data)["event_id"]): event.event_id for event in corrections}
