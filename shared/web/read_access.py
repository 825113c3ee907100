"""Access to the streams that a caller may see, for routes that read: rights, sealed texts, tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from fastapi import Request

from shared.contracts.event import Event
from shared.eventstore.append_builder import text_opener
from shared.eventstore.store import LoadedStream, StreamHead
from shared.eventstore.study_cache import StudyState, load_rights
from shared.kernel.errors import NotFound
from shared.offload import offload
from shared.postgres.tenancy import Tenant
from shared.security.grants import Rights, readable_tenants
from shared.security.vault import Vault
from shared.web.container import get_container
from shared.web.entity_tags import version_tag
from shared.web.response_models import ParticipantRow
from shared.web.service import get_service

T = TypeVar("T")
TextsByVersion = Mapping[int, Mapping[str, str]]
"""Sealed texts by the version of their event, as far as the caller may read them."""
UNCOMPRESSED_HEADERS = {"Cache-Control": "private, no-cache, no-transform"}
"""Headers of responses that show sealed texts: see `shared/web/compression.py`."""


async def load_caller_rights(request: Request, study: str) -> tuple[Rights, StudyState]:
    """Returns the caller's rights in the study, and the study. Raises NotFound without a grant."""
    return await load_rights(get_service(request).studies, study, request.state.caller.subject)


async def load_visible_stream(request: Request, study: str, participant_id: str) -> tuple[LoadedStream, TextsByVersion]:
    """Returns the stream with the sealed texts that the caller may read. Raises NotFound, Forbidden."""
    rights, _ = await load_caller_rights(request, study)
    service = get_service(request)
    for tenant in readable_tenants(rights, None):
        async with service.store.unit(Tenant(study, tenant)) as unit:
            stream = await unit.load_stream(participant_id)
            if not stream.head.exists:
                continue
            own_events = _own_events(rights, stream)
            key = await unit.data_key(own_events[0].stream_id) if own_events else None
        return stream, await offload_for_caller(request, stream, partial(_open_texts, service.vault, key, own_events))
    raise NotFound


def _own_events(rights: Rights, stream: LoadedStream) -> list[Event]:
    """Returns the events that the current site stated, if the member is its staff."""
    site = stream.head.site_id or ""
    return [event for event in stream.events if event.site_id == site] if rights.is_site_staff(site) else []


def _open_texts(vault: Vault, key: bytes | None, own_events: Sequence[Event]) -> TextsByVersion:
    open_event = text_opener(vault, key)
    return {event.version: open_event(event) if event.sealed else {} for event in own_events if key or not event.sealed}


def describe_participant(number: str, head: StreamHead) -> ParticipantRow:
    """Returns site and version, with the status in enrollment, and the version in enrollment in other services."""
    row = ParticipantRow(participant_id=number, site_id=head.site_id, version=head.version)
    if head.enrollment_version:
        row.enrollment_version = head.enrollment_version
    else:
        row.status = head.summary.get("status")
    return row


def record_headers(request: Request, stream: LoadedStream, texts_by_version: TextsByVersion) -> dict[str, str]:
    """Returns headers whose tag names all that the response depends on: both versions, and hidden texts."""
    tag_parts = [f"e{stream.head.enrollment_version}"] if stream.head.enrollment_version else []
    if len(texts_by_version) < len(stream.events):
        tag_parts.append(f"r{len(texts_by_version)}")
    return {
        **version_headers(request, stream.head.version, tag_parts),
        **(UNCOMPRESSED_HEADERS if any(texts_by_version.values()) else {}),
    }


def version_headers(request: Request, version: int, tag_parts: Sequence[str] = ()) -> dict[str, str]:
    return {"ETag": version_tag(version, tag_parts), "Quartal-Version": f"{get_container(request).service}={version}"}


async def offload_for_caller(request: Request, stream: LoadedStream, work: Callable[[], T]) -> T:
    """Runs `work` on the stream's events, in a thread if they are many, so that other requests need not wait."""
    return await offload(request.state.caller.subject, work, item_count=len(stream.events))
