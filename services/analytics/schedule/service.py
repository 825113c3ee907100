"""The worklist on request: visits by what they await, and enrolled participants without visits, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple, Protocol

from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.queries.repository import count_open_queries
from services.analytics.schedule.repository import (
    WorklistSelection,
    count_recently_missed,
    load_entries,
    load_last_contacts,
)
from services.analytics.schedule.worklist import (
    DEFAULT_GROUPS,
    OPENING_DAYS,
    UnscheduledParticipant,
    WorklistEntry,
    WorklistKey,
    WorklistVisit,
    in_order,
)
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader
from shared.gate.study_timeline import require_site
from shared.kernel.errors import BeingPrepared
from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE, PooledConnection, TenantSnapshot
from shared.protocol.reminder_steps import StepName
from shared.protocol.schedule import INDEX_SCHEDULE, PlanPeriod
from shared.protocol.visit_status import VisitState
from shared.security.grants import Rights, readable_tenants

PAGE_SIZE = 100
_LONGEST_MONTH_DAYS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRequest:
    """The filters of a worklist; None selects everything. Without `states` it has the default groups.

    `on`: another day than today, at every site.
    """

    site: str | None = None
    participant: str | None = None
    states: Sequence[VisitState] = ()
    on: date | None = None


class NextReminder(NamedTuple):
    """The next reminder of a visit to its site, and the day on which it is sent."""

    step: StepName
    day: date


class ScheduleVisit(NamedTuple):
    """A visit with the word of its schedule: the course that it is counted from, or `index`."""

    visit: WorklistVisit
    schedule: str


VisitRowKey = tuple[str, int]
"""A participant and the number of a derived visit."""


class LoadNextReminders(Protocol):
    """Reads the next reminders of visits that the connection's tenant sees; it has none for others."""

    async def __call__(
        self, connection: PooledConnection, study_id: str, study: Record, visits: Sequence[ScheduleVisit]
    ) -> Mapping[VisitRowKey, NextReminder]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRow:
    """A visit with what is known of its participant. `course_id`: the course of the schedule; None for the study's.

    `next_reminder`: None for a visit without a further one. `last_contact`: the day of the participant's last contact.
    `open_queries`: the number of open data queries.
    """

    visit: WorklistVisit
    course_id: str | None
    next_reminder: NextReminder | None
    last_contact: date | None
    open_queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistPage:
    """A page of the worklist as of the day `on`, in its order.

    `next`: the key after which the next page begins; None on the last page.
    """

    current: ProjectionPosition
    on: date
    rows: tuple[WorklistRow, ...]
    no_schedule: tuple[UnscheduledParticipant, ...]
    next: WorklistKey | None


class WorklistService:
    """Lists the visits that await something at the sites that a member sees.

    `load_next_reminders` reads the reminders, which are built on this package.
    """

    def __init__(self, reader: StudyReader, load_next_reminders: LoadNextReminders) -> None:
        self._reader, self._load_next_reminders = reader, load_next_reminders

    async def list_page(
        self,
        study_id: str,
        member: str,
        request: WorklistRequest,
        after: WorklistKey | None = None,
        limit: int = PAGE_SIZE,
    ) -> WorklistPage:
        """Returns at most `limit` entries beyond the key.

        Raises NotFound for a member without a grant, Forbidden for one who sees no participants or not those of the
        site, RequestRejected for a site that the study does not have, BeingPrepared after an upgrade.
        """
        rights, study = await self._authorize(study_id, member, request)
        selection = self._select(study_id, study, rights, request)
        current = await self._reader.projection_position(study_id)  # before the rows: none derived since is missed
        if not current.has_current_rows:
            raise BeingPrepared
        entries = list[WorklistEntry]()
        async with self._reader.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                entries += await load_entries(connection, selection, after, limit + 1)
            ordered = in_order(entries)
            page = ordered[:limit]
            visits = [entry for entry in page if isinstance(entry, WorklistVisit)]
            rows = await self._complete(study, snapshot, selection, visits)
        return WorklistPage(
            current=current,
            on=selection.on,
            rows=rows,
            no_schedule=tuple(entry for entry in page if isinstance(entry, UnscheduledParticipant)),
            next=page[-1].key if len(ordered) > limit else None,
        )

    async def count_recently_missed(self, study_id: str, member: str, request: WorklistRequest) -> int:
        """Returns the number of visits that were missed within the last 14 days. Raises as `list_page` does."""
        rights, study = await self._authorize(study_id, member, request)
        selection, count = self._select(study_id, study, rights, request), 0
        async with self._reader.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                count += await count_recently_missed(connection, selection)
        return count

    async def _authorize(self, study_id: str, member: str, request: WorklistRequest) -> tuple[Rights, Record]:
        rights, study = await self._reader.participant_rights(study_id, member)
        readable_tenants(rights, request.site)
        require_site(study.record, request.site)
        return rights, study.record

    def _select(self, study_id: str, study: Record, rights: Rights, request: WorklistRequest) -> WorklistSelection:
        """Returns what a list has: the sites that the member sees or asks for, each with its today or the given day."""
        plans, sites = StudyPlans.from_record(study), {request.site} if request.site else rights.visible_sites
        todays = {
            site: request.on or today
            for site, today in self._reader.today_by_site(study_id, study).items()
            if site in sites or EVERY_SITE in sites
        }
        return WorklistSelection(
            study_id=study_id,
            on=max(todays.values(), default=request.on or self._reader.latest_today(study_id, study)),
            todays=todays,
            follow_up_sites=frozenset(site for site, today in todays.items() if _is_followed(plans, site, today)),
            groups=request.states or DEFAULT_GROUPS,
            participant=request.participant,
            opening_days=None if request.states else OPENING_DAYS,
            longest_slot=_longest_slot(plans),
            longest_window=max(map(longest_window, plans.follow_up)),
        )

    async def _complete(
        self, study: Record, snapshot: TenantSnapshot, selection: WorklistSelection, visits: Sequence[WorklistVisit]
    ) -> tuple[WorklistRow, ...]:
        """Returns the visits with their courses and next reminders, and what is known of their participants."""
        study_id = selection.study_id
        words = await self._reader.words({visit.schedule for visit in visits}, ["contact", "registry"])
        codes = {word: code for code, word in words.items()}
        ids = sorted({visit.participant_id for visit in visits})
        contacts, queries, reminders = dict[str, date](), dict[str, int](), dict[VisitRowKey, NextReminder]()
        scheduled = [ScheduleVisit(visit, words[visit.schedule]) for visit in visits]
        async for connection in snapshot:
            contacts |= await load_last_contacts(connection, study_id, ids, codes)
            queries |= await count_open_queries(connection, study_id, selection.todays, ids)
            reminders |= await self._load_next_reminders(connection, study_id, study, scheduled)
        return tuple(
            WorklistRow(
                visit=visit,
                course_id=None if words[visit.schedule] == INDEX_SCHEDULE else words[visit.schedule],
                next_reminder=reminders.get((visit.participant_id, visit.sequence)),
                last_contact=contacts.get(visit.participant_id),
                open_queries=queries.get(visit.participant_id, 0),
            )
            for visit in visits
        )


def _is_followed(plans: StudyPlans, site: str, today: date) -> bool:
    """Returns whether neither the site nor the study is closed on a day."""
    return today < min(plans.closed_on, plans.site_closings.get(site, date.max))


def _longest_slot(plans: StudyPlans) -> timedelta | None:
    """Returns at least the days of every slot; None if each later course can move the visit that ends a slot."""
    if any(period.plan.anchor_policy == "latest" for period in plans.follow_up):
        return None
    return timedelta(days=_LONGEST_MONTH_DAYS * max(period.plan.every_months for period in plans.follow_up))


def longest_window(period: PlanPeriod) -> timedelta:
    """Returns the days between the first and the last day of the period's longest window."""
    return timedelta(days=max(window.before + window.after for window in period.plan.windows))
