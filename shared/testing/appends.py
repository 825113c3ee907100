"""Appends to write, and what a store then holds, for tests of stores and of what stands on them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.contracts.event import Event
from shared.eventstore.store import Append, Head, Outcome, Recalled, Store
from shared.kernel.ids import new_event_id
from shared.security.tenancy import Tenant

AT = datetime(2024, 3, 7, 12, 30, 15, 123456, UTC)
CONTENT = '{"signed_on": "2024-03-07", "form_version": "2.1", "options": {"data_use": true}}'
STUDY_CONTENT = '{"on": "2024-03-07"}'


class Undone(Exception):
    """Leaves a unit, so that it is rolled back."""


def event(
    study_id: str, stream_id: str, version: int, *, site: str | None = "S1", sealed: bytes | None = None
) -> Event:
    of_study = stream_id == study_id
    type_name, content = ("study.accrual_closed", STUDY_CONTENT) if of_study else ("participant.consented", CONTENT)
    return Event(
        study_id, "enrollment", stream_id, version, new_event_id(), type_name, 1, None if of_study else site, content,
        AT, {"recorded_by": "someone"}, sealed,
    )  # fmt: skip


def append(
    study_id: str,
    stream_id: str,
    expected: int = 0,
    *,
    count: int = 1,
    site: str | None = "S1",
    stated_at: str | None = None,
    study_version: int | None = 1,
    search_key: bytes | None = None,
    status: str = "enrolled",
    **others: Any,
) -> Append:
    """`count` consents (for the study: closings of accrual) after version `expected`; `stated_at`: by another site."""
    own = stream_id == study_id
    head = Head(expected + count, None if own else site, search_key, {"status": status})
    events = [event(study_id, stream_id, expected + place + 1, site=stated_at or site) for place in range(count)]
    return Append(expected, None if own else study_version, head, events, **others)


async def keep(store: Store, proposal: Append, site: str = "*") -> None:
    """The proposal in a unit of its own."""
    async with store.unit(Tenant(proposal.events[0].study_id, site)) as unit:
        await unit.append(proposal)


async def keep_and_undo(store: Store, proposal: Append) -> None:
    async with store.unit(Tenant(proposal.events[0].study_id)) as unit:
        await unit.append(proposal)
        raise Undone


async def seen(store: Store, tenant: Tenant, stream_id: str, **by: Any) -> Recalled:
    async with store.unit(tenant) as unit:
        return await unit.recall(stream_id, **by)


def answered(text: str) -> Outcome:
    return Outcome(text.encode(), {"said": text})


def shown(event: Event) -> tuple[object, ...]:
    """An event for comparison: its content by value, since a database may write the same JSON in another way."""
    return (
        event.study_id, event.service, event.stream_id, event.version, UUID(str(event.event_id)), event.type,
        event.schema_version, event.site_id, json.loads(event.data), event.recorded_at, dict(event.meta), event.sealed,
    )  # fmt: skip
