"""The feed of a service's facts in the order of recording, after a cursor. Concurrent writes cause no gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.contracts.event import Event
from shared.eventstore.append_builder import text_opener
from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.store import UnitOfWork
from shared.kernel.errors import PositionGone, parameter_error
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.security.cursors import BadCursor
from shared.security.vault import Vault
from shared.web.service import Service

EventTexts = Mapping[UUID, Mapping[str, str]]


@dataclass(frozen=True)
class FeedScope:
    """The facts to read: under each of `tenants`, and of `site` only if that is given.

    `is_staff_of(tenant)`: whether the caller is staff of that site and may read its sealed texts.
    """

    study_id: str
    tenants: Sequence[str]
    site: str | None
    is_staff_of: Callable[[str], bool]

    @property
    def name(self) -> str:
        """Identifies the scope in cursors, each of which is valid for one scope only."""
        return f"{','.join(self.tenants)}/{self.site or ''}"

    def stating_sites(self, tenant: str) -> list[str] | None:
        """Returns the sites whose statements are read; None for all sites."""
        if tenant == EVERY_SITE:
            return [self.site] if self.site else None
        return [tenant]


@dataclass(frozen=True)
class EventFeedPage:
    """Events in the order of recording, sealed texts that the caller may read, and the cursor after the page."""

    events: Sequence[Event]
    texts: EventTexts
    cursor: str


async def read_feed(service: Service, scope: FeedScope, since: str, limit: int) -> EventFeedPage:
    """Returns at most `limit` events after the cursor, and the next cursor. Raises RequestRejected, PositionGone."""
    cursor_context = ("facts", service.name, scope.study_id)
    cursor = _open_cursor(service, cursor_context, scope, since)
    numbered_events: list[tuple[int, Event]] = []
    texts: dict[UUID, Mapping[str, str]] = {}
    for tenant in scope.tenants:
        async with service.store.unit(Tenant(scope.study_id, tenant)) as unit:
            cursor = await _cursor_in_backlog(unit, cursor)
            batch = await unit.list_recorded_events(cursor, sites=scope.stating_sites(tenant), limit=limit + 1)
            if scope.is_staff_of(tenant):
                texts |= await open_own_texts(unit, service.vault, [event for _, event in batch])
            numbered_events += batch
    numbered_events.sort(key=lambda pair: pair[0])
    page = numbered_events[:limit]
    next_cursor = cursor.after_row(page[-1][0]) if len(numbered_events) > limit else cursor.at_end()
    values = (scope.name, next_cursor.read_until, next_cursor.backlog_until, next_cursor.last_seq, next_cursor.database)
    return EventFeedPage([event for _, event in page], texts, service.cursors.seal(cursor_context, values))


def _open_cursor(service: Service, cursor_context: Sequence[str], scope: FeedScope, since: str) -> FeedCursor:
    if not since:
        return FeedCursor()
    try:
        name, read_until, backlog_until, last_seq, database = service.cursors.open(cursor_context, since)
    except BadCursor:
        raise parameter_error(
            "since",
            "This is not a cursor of this address. Give the cursor of an earlier answer, or an empty one to begin.",
        ) from None
    if name != scope.name:
        raise parameter_error(
            "since", "The cursor belongs to another choice of sites. Begin again with an empty since=."
        )
    return FeedCursor(str(read_until), str(backlog_until), int(last_seq), str(database))


async def _cursor_in_backlog(unit: UnitOfWork, cursor: FeedCursor) -> FeedCursor:
    """Raises PositionGone if the cursor is of another database, or of a later state of this one."""
    snapshot = await unit.current_snapshot(cursor.latest)
    if cursor.database and (cursor.database != snapshot.database or not snapshot.follows_previous):
        raise PositionGone("The database was restored after this cursor was given. Begin again with an empty since=.")
    return cursor.in_backlog(snapshot.text, snapshot.database)


async def open_own_texts(unit: UnitOfWork, vault: Vault, events: Sequence[Event]) -> EventTexts:
    """Returns the sealed texts of a site's own events for that site; none for participants that it transferred."""
    sealed = [event for event in events if event.sealed]
    keys = {stream: await unit.data_key(stream) for stream in {event.stream_id for event in sealed}}
    return {event.event_id: text_opener(vault, keys[event.stream_id])(event) for event in sealed}
