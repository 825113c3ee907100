"""A study in the command handler of enrollment: its stream policies, a vault, and the store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from services.enrollment.stream_policy import stream_policies
from shared.contracts.event import Event
from shared.eventstore.command import RecordedFacts, RecordFacts, VersionGuard
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.feed_cursor import FeedCursor, FeedSnapshot
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.store import AppendRequest, LoadedStream, Store, StreamHead, UnitOfWork
from shared.eventstore.study_cache import OwnStudies
from shared.kernel.clock import Clock
from shared.kernel.errors import RequestError
from shared.kernel.fact import Fact
from shared.kernel.sealed_text import extract_texts
from shared.postgres.tenancy import Tenant
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey, Vault
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    member_granted,
    participant_screened,
    site_activated,
    study_opened,
)

STUDY = "atc-rt"
UNKNOWN_PARTICIPANT = "0000-0000-0"
AT = datetime(2025, 3, 7, 12, 30, tzinfo=UTC)
MEMBERS = {
    "ada": ("administrator", None),
    "ivan": ("investigator", None),
    "sam": ("site", "rome"),
    "mia": ("site", "milan"),
    "cora": ("coordinator", "rome"),
    "carl": ("coordinator", None),
    "mona": ("monitor", None),
    "audrey": ("auditor", None),
    "rita": ("reader", None),
}
OPENING = study_opened(), member_granted("ada", "administrator")
VAULT = Vault(KeyEncryptionKey(bytes(range(32))))
EVENT_KEY = EventKey(bytes(range(32, 64)))
CLOCK = Clock({"": date(2025, 3, 7)}, lambda: AT)
SECRET_TEXT = {"detail": "awake"}


@dataclass
class InterleavingStore:
    """A store in which other writes happen between the load and the append of a unit, as they may in PostgreSQL."""

    store: Store
    interventions: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    service: str = "enrollment"

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        yield _InterleavingUnit(self, tenant)

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        await self.store.append(tenant, request)


@dataclass
class _InterleavingUnit:
    parent: InterleavingStore
    tenant: Tenant

    async def load_stream(self, stream_id: str, **by: Any) -> LoadedStream:
        async with self.parent.store.unit(self.tenant) as unit:
            stream = await unit.load_stream(stream_id, **by)
        if self.parent.interventions:
            await self.parent.interventions.pop(0)()
        return stream

    async def find_opened_study(self, opening_key: str) -> str | None:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.find_opened_study(opening_key)

    async def data_key(self, stream_id: str) -> bytes | None:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.data_key(stream_id)

    async def append(self, request: AppendRequest) -> None:
        async with self.parent.store.unit(self.tenant) as unit:
            await unit.append(request)

    async def list_streams(self, **by: Any) -> list[tuple[str, StreamHead]]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_streams(**by)

    async def list_events(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_events(sites=sites, after=after, limit=limit)

    async def list_member_events(self, member: str, day: date, *, of_study: bool, limit: int) -> list[Event]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_member_events(member, day, of_study=of_study, limit=limit)

    async def list_streams_stating(self, type_name: str, content: Any, *, site: str, limit: int) -> list[str]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_streams_stating(type_name, content, site=site, limit=limit)

    async def current_snapshot(self, previous: str) -> FeedSnapshot:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.current_snapshot(previous)

    async def list_recorded_events(
        self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int
    ) -> list[tuple[int, Event]]:
        async with self.parent.store.unit(self.tenant) as unit:
            return await unit.list_recorded_events(cursor, sites=sites, limit=limit)


@dataclass
class EnrollmentDriver:
    """A study with two sites and a member of every role."""

    store: Store
    read_from: Store | None = None

    def __post_init__(self) -> None:
        studies = OwnStudies(self.read_from or self.store)
        self.command_handler = CommandHandler(
            self.store, studies, stream_policies(CLOCK, VAULT), VAULT, CLOCK, EVENT_KEY
        )

    async def record(self, by: str, stream: str | None, *facts: Fact, **options: Any) -> RecordedFacts:
        """Records one fact, or several as a batch, whose pointers are those of its JSON."""
        pointers = tuple(f"/{index}/data" for index in range(len(facts))) if len(facts) > 1 else ("",)
        described_facts = [(fact.type_name, fact.model_dump_json(), dict(extract_texts(fact))) for fact in facts]
        request = options.pop("request", repr(described_facts).encode())
        return await self.command_handler.record(RecordFacts(STUDY, stream, facts, pointers, by, request, **options))

    async def refusal(self, by: str, stream: str | None, *facts: Fact, **options: Any) -> RequestError:
        with pytest.raises(RequestError) as refusal:
            await self.record(by, stream, *facts, **options)
        return refusal.value

    async def dry_run_status(self, by: str, stream: str | None, *facts: Fact) -> int:
        try:
            await self.record(by, stream, *facts, dry_run=True)
        except RequestError as refusal:
            return refusal.status
        return 200

    async def register_participant(self, by: str = "sam", *facts: Fact) -> str:
        """Registers a participant, enrolled unless there are other facts; returns its id."""
        site = MEMBERS[by][1] or "rome"
        recorded = facts or (participant_screened(site_id=site), *ENROLLMENT_FACTS[1:])
        return (await self.record(by, None, *recorded)).stream_id

    async def load_stream(self, stream: str) -> LoadedStream:
        async with self.store.unit(Tenant(STUDY)) as unit:
            return await unit.load_stream(stream)

    async def event_types(self, stream: str) -> list[str]:
        return [event.type for event in (await self.load_stream(stream)).events]

    async def participant_ids(self) -> list[str]:
        async with self.store.unit(Tenant(STUDY)) as unit:
            rows = await unit.list_streams(site=None, status=None, search_key=None, after="", limit=99)
        return [stream for stream, _ in rows]


def interleave(study: EnrollmentDriver) -> tuple[EnrollmentDriver, list[Callable[[], Awaitable[object]]]]:
    """Returns the study as another process sees it, and the list of writes that happen before its next appends."""
    store = InterleavingStore(study.store)
    return EnrollmentDriver(store, study.store), store.interventions


async def open_study() -> EnrollmentDriver:
    """Returns a study with two sites and a member of every role."""
    driver = EnrollmentDriver(MemoryStore("enrollment"))
    await driver.record("ada", STUDY, *OPENING, opens_study=True)
    grants = [member_granted(member, role, site) for member, (role, site) in MEMBERS.items() if member != "ada"]
    await driver.record("ada", STUDY, *grants, site_activated("rome"), site_activated("milan"))
    return driver


def version_guard(*versions: int) -> VersionGuard:
    return VersionGuard(frozenset(versions))


async def search_key_of(study: EnrollmentDriver, participant: str) -> bytes | None:
    return (await study.load_stream(participant)).head.search_key


async def screening_event_id(study: EnrollmentDriver, participant: str) -> UUID:
    return (await study.load_stream(participant)).events[0].event_id
