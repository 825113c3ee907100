"""Values and protocols of the event store, as the command path uses it.

Recorded facts stay, once, in order, together with their outbox rows and the result kept under their idempotency key.
A `UnitOfWork` is one transaction for one tenant. `load_stream` reads a stream and what else a decision needs;
`append` writes everything or nothing, or raises:

Conflict
├── StreamVersionConflict   the stream has another version than the decision was made on
├── StudyVersionConflict    the study's own facts have another version than the decision was made by
└── IdempotencyKeyConflict  a concurrent request used the same key; its result can be loaded now
SearchKeyConflict           the site has another participant with this reference
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from shared.contracts.event import Event
from shared.eventstore.feed_cursor import FeedCursor, FeedSnapshot
from shared.kernel.record import Record
from shared.postgres.tenancy import Tenant


class Conflict(Exception):
    """The decision was made on a state that has changed. Load the stream and decide again."""


class StreamVersionConflict(Conflict):
    """The stream has another version."""


class StudyVersionConflict(Conflict):
    """The study's own facts have another version."""


class IdempotencyKeyConflict(Conflict):
    """A concurrent request used the idempotency key."""


class SearchKeyConflict(Exception):
    """Another participant of the site has the search key."""


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    """The answer to the first request under a key, and the fingerprint of that request."""

    fingerprint: bytes
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamHead:
    """A stream as a whole.

    `version` is 0 while nothing is stated here. `site_id` is the current site. `summary` is what lists show.
    `enrollment_version` is the version of the participant in enrollment up to which this service has received facts.
    """

    version: int = 0
    site_id: str | None = None
    search_key: bytes | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    enrollment_version: int = 0

    @property
    def exists(self) -> bool:
        """Returns False if there is no such stream, or the tenant may not see it."""
        return self.version + self.enrollment_version > 0


@dataclass(frozen=True, slots=True)
class LoadedStream:
    """A stream, and what else a decision needs.

    `outcome` is the result stored under the idempotency key of the command. `foreign_facts` is the participant's
    record in enrollment, at least up to `head.enrollment_version`. `other_streams` are the records of participants
    that a fact names, by number, as far as the tenant may see them.
    """

    study_version: int
    head: StreamHead
    events: tuple[Event, ...]
    outcome: IdempotentResult | None = None
    foreign_facts: Record | None = None
    other_streams: Mapping[str, Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """Events for versions `expected_version + 1 …` of one stream, and the stream's head after them.

    `study_version` is the version of the study's stream that the decision was made by, and None for a study's own
    stream. `key` is the idempotency key as it is stored, `clear_key` as it was stored before keys were hashed.
    `opening_key`: of a study that is opened, the key as it is stored for all studies together.
    `drops_search_key_if_taken`: if another stream has the search key, this one is stored without it.
    """

    expected_version: int
    study_version: int | None
    head: StreamHead
    events: Sequence[Event]
    data_key: bytes | None = None
    key: str | None = None
    clear_key: str | None = None
    opening_key: str | None = None
    key_site: str = "*"
    outcome: IdempotentResult | None = None
    drops_search_key_if_taken: bool = False


class UnitOfWork(Protocol):
    """One transaction for one tenant."""

    async def load_stream(
        self, stream_id: str, *, key: str | None = None, clear_key: str | None = None, key_site: str = "*"
    ) -> LoadedStream: ...
    async def find_opened_study(self, opening_key: str) -> str | None:
        """Returns the study, of any tenant, that was opened under a key; None if none was."""
        ...

    async def data_key(self, stream_id: str) -> bytes | None: ...
    async def append(self, request: AppendRequest) -> None: ...
    async def list_streams(
        self, *, site: str | None, status: str | None, search_key: bytes | None, after: str, limit: int
    ) -> list[tuple[str, StreamHead]]: ...
    async def list_events(self, *, sites: Sequence[str], after: tuple[str, int], limit: int) -> list[Event]: ...
    async def list_member_events(self, member: str, day: date, *, of_study: bool, limit: int) -> list[Event]:
        """Returns what a member recorded on a day of the study's clock, the last event first.

        `of_study`: the study's own events, instead of those of its participants.
        """
        ...

    async def list_streams_stating(
        self, type_name: str, content: Mapping[str, Any], *, site: str, limit: int
    ) -> list[str]:
        """Returns the participants of a site for whom a fact of this type was recorded that has all these members, or
        a correction that gives it all of them. A later correction may have changed them.

        `content`: texts and numbers by the names of their members.
        """
        ...

    async def current_snapshot(self, previous: str) -> FeedSnapshot:
        """Returns the snapshot of what is visible now. `previous` is the text of a snapshot that it should follow."""
        ...

    async def list_recorded_events(
        self, cursor: FeedCursor, *, sites: Sequence[str] | None, limit: int
    ) -> list[tuple[int, Event]]:
        """Returns participants' events of the cursor's backlog, from its place on, in the order of recording."""
        ...


class Store(Protocol):
    """The event store of one service, as the command path uses it."""

    service: str

    def unit(self, tenant: Tenant) -> AbstractAsyncContextManager[UnitOfWork]:
        """Opens a transaction: committed when the block ends, rolled back when an exception leaves it."""
        ...

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        """Appends in a transaction of its own. Raises the same conflicts as a unit's append."""
        ...


class SnapshotStore(Store, Protocol):
    """A store from which routes also read lists of several tenants."""

    def snapshot(
        self, tenants: Sequence[Tenant]
    ) -> AbstractAsyncContextManager[AsyncIterable[tuple[Tenant, UnitOfWork]]]:
        """Opens a transaction that only reads, as each tenant in turn. All of them see one state of the store."""
        ...
