"""A service's facts in the order of recording, from a cursor on: none is left out while others write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.contracts.event import Event
from shared.eventstore.feed_cursor import FeedCursor
from shared.eventstore.sealing import opener
from shared.eventstore.store import Unit
from shared.kernel.refusal import PositionGone, wrong_parameter
from shared.security.cursors import BadCursor
from shared.security.grants import EVERY_SITE
from shared.security.tenancy import Tenant
from shared.security.vault import Vault
from shared.web.service import Service

Texts = Mapping[UUID, Mapping[str, str]]


@dataclass(frozen=True)
class FeedScope:
    """Whose facts are read: under each of `tenants`, of `site` only where that is given.

    `reads_texts(tenant)`: the caller is staff of that site, and reads its sealed texts.
    """

    study_id: str
    tenants: Sequence[str]
    site: str | None
    reads_texts: Callable[[str], bool]

    @property
    def name(self) -> str:
        """A cursor is good for one scope only: it says nothing of what another scope would add."""
        return f"{','.join(self.tenants)}/{self.site or ''}"

    def sites(self, tenant: str) -> list[str] | None:
        """The sites that stated; None for all of them."""
        if tenant == EVERY_SITE:
            return [self.site] if self.site else None
        return [tenant]


@dataclass(frozen=True)
class FeedPage:
    events: Sequence[Event]
    texts: Texts
    cursor: str


async def recorded_since(service: Service, scope: FeedScope, since: str, limit: int) -> FeedPage:
    """At most `limit` events behind the cursor, and the cursor to go on from. Raises Unacceptable or PositionGone."""
    place = ("facts", service.name, scope.study_id)
    cursor = _opened(service, place, scope, since)
    found: list[tuple[int, Event]] = []
    texts: dict[UUID, Mapping[str, str]] = {}
    for tenant in scope.tenants:
        async with service.store.unit(Tenant(scope.study_id, tenant)) as unit:
            cursor = await _in_backlog(unit, cursor)
            read = await unit.recorded(cursor, sites=scope.sites(tenant), limit=limit + 1)
            if scope.reads_texts(tenant):
                texts |= await own_texts(unit, service.vault, [event for _, event in read])
            found += read
    found.sort(key=lambda pair: pair[0])
    page = found[:limit]
    following = cursor.behind(page[-1][0]) if len(found) > limit else cursor.at_the_end()
    values = (scope.name, following.done, following.upto, following.last_seq, following.database)
    return FeedPage([event for _, event in page], texts, service.cursors.seal(place, values))


def _opened(service: Service, place: Sequence[str], scope: FeedScope, since: str) -> FeedCursor:
    if not since:
        return FeedCursor()
    try:
        name, done, upto, last_seq, database = service.cursors.open(place, since)
    except BadCursor:
        raise wrong_parameter(
            "since",
            "This is not a cursor of this address. Give the cursor of an earlier answer, or an empty one to begin.",
        ) from None
    if name != scope.name:
        raise wrong_parameter(
            "since", "The cursor belongs to another choice of sites. Begin again with an empty since=."
        )
    return FeedCursor(str(done), str(upto), int(last_seq), str(database))


async def _in_backlog(unit: Unit, cursor: FeedCursor) -> FeedCursor:
    """Raises PositionGone where the database is not the one that the cursor was given by, or an earlier state of it."""
    now = await unit.snapshot(cursor.latest)
    if cursor.database and (cursor.database != now.database or not now.follows):
        raise PositionGone("The database was restored after this cursor was given. Begin again with an empty since=.")
    return cursor.within(now.text, now.database)


async def own_texts(unit: Unit, vault: Vault, events: Sequence[Event]) -> Texts:
    """The sealed texts of events that one site stated, read by that site: none of participants that it handed over."""
    sealed = [event for event in events if event.sealed]
    keys = {stream: await unit.data_key(stream) for stream in {event.stream_id for event in sealed}}
    return {event.event_id: opener(vault, keys[event.stream_id])(event) for event in sealed}
