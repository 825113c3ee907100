"""Requests to append, and reads of what a store then has, for tests of stores and of what uses them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.contracts.event import Event
from shared.eventstore.store import AppendRequest, IdempotentResult, LoadedStream, Store, StreamHead
from shared.postgres.tenancy import Tenant
from shared.testing.builders.events import make_event
from shared.testing.builders.facts import accrual_closed, consent_signed, correction

RECORDED_AT = datetime(2024, 3, 7, 12, 30, 15, 123456, UTC)


class RollbackRequested(Exception):
    """Raised inside a unit of work, so that it is rolled back."""


def build_event(
    study_id: str, stream_id: str, version: int, *, site: str | None = "S1", sealed: bytes | None = None
) -> Event:
    """Returns a consent of a participant, or the end of accrual of a study."""
    return make_event(
        accrual_closed("2024-03-07") if stream_id == study_id else consent_signed("2024-03-07"),
        version,
        study_id=study_id,
        stream_id=stream_id,
        site_id=site,
        recorded_at=RECORDED_AT,
        meta={"recorded_by": "someone", "recorded_on": RECORDED_AT.date().isoformat()},
        sealed=sealed,
    )


def build_append(
    study_id: str,
    stream_id: str,
    expected: int = 0,
    *,
    count: int = 1,
    site: str | None = "S1",
    stating_site: str | None = None,
    study_version: int | None = 1,
    search_key: bytes | None = None,
    status: str = "enrolled",
    **append_fields: Any,
) -> AppendRequest:
    """Returns a request to append `count` consents, or for a study ends of accrual, after version `expected`.

    `stating_site`: the site that states the facts, if it is not the participant's current site.
    """
    is_study_stream = stream_id == study_id
    head = StreamHead(expected + count, None if is_study_stream else site, search_key, {"status": status})
    events = [
        build_event(study_id, stream_id, expected + index + 1, site=stating_site or site) for index in range(count)
    ]
    return AppendRequest(expected, None if is_study_stream else study_version, head, events, **append_fields)


def build_consent_correction(study_id: str, stream_id: str, signed_on: str) -> AppendRequest:
    """Returns a request to append the correction of a consent that is version 1: it was signed on another day."""
    corrected = build_event(study_id, stream_id, 1)
    fact = correction(corrected.event_id, consent_signed(signed_on))
    event = make_event(fact, 2, study_id=study_id, stream_id=stream_id, service=corrected.service, site_id="S1")
    return replace(build_append(study_id, stream_id, 1), events=[event])


async def append_in_unit(store: Store, request: AppendRequest, site: str = "*") -> None:
    """Appends in a unit of work of its own."""
    async with store.unit(Tenant(request.events[0].study_id, site)) as unit:
        await unit.append(request)


async def append_and_roll_back(store: Store, request: AppendRequest) -> None:
    async with store.unit(Tenant(request.events[0].study_id)) as unit:
        await unit.append(request)
        raise RollbackRequested


async def load_stream(store: Store, tenant: Tenant, stream_id: str, **criteria: Any) -> LoadedStream:
    async with store.unit(tenant) as unit:
        return await unit.load_stream(stream_id, **criteria)


def build_outcome(text: str) -> IdempotentResult:
    return IdempotentResult(text.encode(), {"said": text})


def comparable_event(event: Event) -> tuple[object, ...]:
    """Returns the members of an event with its content as a value: a database may write the same JSON otherwise."""
    return (
        event.study_id,
        event.service,
        event.stream_id,
        event.version,
        UUID(str(event.event_id)),
        event.type,
        event.schema_version,
        event.site_id,
        json.loads(event.data),
        event.recorded_at,
        dict(event.meta),
        event.sealed,
    )
