"""The calendar of a member on request, with events as they were published before.

Events are compared with the rows at each fetch, and what has changed is stored before it is sent. So the SEQUENCE of an
event counts what calendars have received.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.reminders.calendar import (
    FEED_DESCRIPTION,
    MAX_EVENTS,
    CalendarEvent,
    CalendarVisit,
    EventContent,
    cancel,
    compose_calendar,
    describe_events,
    is_still_shown,
    is_within_range,
    nearest_visits,
    revise_events,
)
from services.analytics.reminders.calendar_feed import repository
from services.analytics.reminders.calendar_feed.repository import CodedVisit
from services.analytics.reminders.links import LinksKey
from services.analytics.reminders.subscriptions.calendar_addresses import hash_secret
from services.analytics.reminders.subscriptions.subscription import SUBSCRIBER_ROLES
from services.analytics.schedule.service import longest_window
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.errors import BeingPrepared, Forbidden, NotFound
from shared.offload import offload
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights

VisitKey = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarFeed:
    """A member's calendar. `events`: the number of its events."""

    study_id: str
    member: str
    content: bytes
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _CalendarScope:
    """A member whose calendar is fetched. `rights`: those that give a calendar. `todays`: the day at each own site."""

    study_id: str
    rights: Rights
    plans: StudyPlans
    todays: Mapping[str, date]


class CalendarService:
    """Composes the calendars that are fetched at secret addresses.

    `system_pool` finds the member of a secret, and stores events. `links`: the key that secrets are derived with.
    """

    def __init__(
        self, system_pool: asyncpg.Pool[Any], reader: StudyReader, links: LinksKey | None, now: Callable[[], datetime]
    ) -> None:
        self._system_pool, self._reader, self._links, self._now = system_pool, reader, links, now
        self._lock = asyncio.Lock()  # of this process: fetches wait without a connection

    async def fetch(self, secret: str, *, with_windows: bool) -> CalendarFeed:
        """Returns the calendar at a secret address.

        Raises NotFound alike for every secret that opens none now, BeingPrepared after an upgrade.
        """
        study_id, member = await self._find_owner(secret)
        scope = await self._authorize(study_id, member)
        if not (await self._reader.projection_position(study_id)).has_current_rows:
            raise BeingPrepared
        events = await self._publish(scope, with_windows=with_windows) if scope.todays else []
        content = await offload(
            member, lambda: compose_calendar(study_id, FEED_DESCRIPTION, events), item_count=len(events)
        )
        return CalendarFeed(study_id=study_id, member=member, content=content, events=len(events))

    async def _find_owner(self, secret: str) -> tuple[str, str]:
        """Returns the study and the member of a calendar. Raises NotFound, also for a secret of another key."""
        async with self._system_pool.acquire() as connection:
            owner = await repository.find_owner(connection, hash_secret(secret), self._now())
        if owner is None or self._links is None or self._links.calendar_secret(*owner) != secret:
            raise NotFound
        return owner.study_id, owner.member

    async def _authorize(self, study_id: str, member: str) -> _CalendarScope:
        """Returns the member with the sites whose visits the calendar has. Raises NotFound for one without any."""
        try:
            all_rights, study = await self._reader.participant_rights(study_id, member)
        except Forbidden:
            raise NotFound from None
        rights = Rights(member, frozenset(grant for grant in all_rights.grants if grant.role in SUBSCRIBER_ROLES))
        if not rights.visible_sites:
            raise NotFound
        todays = {
            site: today
            for site, today in self._reader.today_by_site(study_id, study.record).items()
            if EVERY_SITE in rights.visible_sites or site in rights.visible_sites
        }
        return _CalendarScope(
            study_id=study_id, rights=rights, plans=StudyPlans.from_record(study.record), todays=todays
        )

    async def _publish(self, scope: _CalendarScope, *, with_windows: bool) -> list[CalendarEvent]:
        """Returns the events of the calendar, and stores what has changed since they were published last."""
        limit = MAX_EVENTS // 2 if with_windows else MAX_EVENTS
        async with self._lock, self._system_pool.acquire() as connection, connection.transaction():
            await repository.lock_events(connection, scope.study_id)  # before the rows are read
            visits = nearest_visits(await self._load_visits(scope), scope.todays, limit)
            contents = [content for visit in visits for content in describe_events(scope.study_id, visit)]
            published = await repository.load_events(connection, scope.study_id, scope.todays, contents)
            cancelled = await self._cancel(scope, published, contents)
            events, changed = await offload(
                scope.rights.member,
                lambda: revise_events(_by_id(published), [*contents, *cancelled], self._now()),
                item_count=len(contents),
            )
            await repository.save_events(connection, scope.study_id, changed)
        latest = _latest_of_each([*published, *events], scope.todays, {content.uid for content in contents})
        return [event for event in latest if with_windows or event.content.part == "target"][:MAX_EVENTS]

    async def _load_visits(self, scope: _CalendarScope) -> list[CalendarVisit]:
        coded = list[CodedVisit]()
        window = max(map(longest_window, scope.plans.follow_up))
        async with self._reader.open_snapshot(scope.study_id, scope.rights) as snapshot:
            async for connection in snapshot:
                coded += await repository.load_visits(connection, scope.study_id, scope.todays, window, MAX_EVENTS)
        visits = await self._with_words(coded)
        return [visit for visit in visits if is_within_range(visit, scope.todays[visit.site_id])]

    async def _cancel(
        self, scope: _CalendarScope, published: Sequence[CalendarEvent], contents: Sequence[EventContent]
    ) -> list[EventContent]:
        """Returns the contents of published events whose visits await a contact at their site no longer."""
        awaited_ids = {(content.uid, content.site_id) for content in contents}
        obsolete = [
            event.content
            for event in published
            if not event.content.cancelled_on
            and event.content.site_id in scope.todays
            and (event.content.uid, event.content.site_id) not in awaited_ids
        ]
        awaited = await self._awaited_visits(scope, {content.participant_id for content in obsolete})
        return [
            cancel(content, scope.todays[content.site_id])
            for content in obsolete
            if (content.site_id, content.participant_id, content.schedule, content.number) not in awaited
        ]

    async def _awaited_visits(self, scope: _CalendarScope, participant_ids: set[str]) -> set[VisitKey]:
        if not participant_ids:
            return set()
        coded = list[CodedVisit]()
        async with self._reader.open_snapshot(scope.study_id, scope.rights) as snapshot:
            async for connection in snapshot:
                coded += await repository.load_visits_of(connection, scope.study_id, scope.todays, participant_ids)
        visits = await self._with_words(coded)
        return {(visit.site_id, visit.participant_id, visit.schedule, visit.number) for visit in visits}

    async def _with_words(self, coded: Sequence[CodedVisit]) -> list[CalendarVisit]:
        words = await self._reader.words({visit.schedule for visit in coded})
        return [visit.with_words(words) for visit in coded]


def _latest_of_each(
    events: Sequence[CalendarEvent], todays: Mapping[str, date], awaited_ids: Collection[UUID]
) -> list[CalendarEvent]:
    """Returns the last event of each id that the calendar has: those of awaited visits, then those cancelled lately.

    `awaited_ids`: the ids of awaited visits. A participant who has moved between sites of the member has several events
    of one id.
    """
    latest = dict[UUID, CalendarEvent]()
    for event in sorted(events, key=lambda event: (not event.content.cancelled_on, event.sequence)):
        content = event.content
        today = todays.get(content.site_id)
        if today and (is_still_shown(content, today) or (content.uid in awaited_ids and not content.cancelled_on)):
            latest[content.uid] = event
    return sorted(latest.values(), key=lambda event: event.content.cancelled_on is not None)


def _by_id(events: Sequence[CalendarEvent]) -> dict[UUID, list[CalendarEvent]]:
    by_id = defaultdict[UUID, list[CalendarEvent]](list)
    for event in events:
        by_id[event.content.uid].append(event)
    return by_id
