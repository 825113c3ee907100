"""The log of reminders on request, a page at a time; after it the reminder of each visit that comes next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from services.analytics.reminders.coming_steps import ComingSteps
from services.analytics.reminders.listing import repository
from services.analytics.reminders.listing.repository import ComingVisit, Delivery, ReminderSelection
from services.analytics.reminders.log import Reminder, ReminderState, ScheduledVisit, next_reminder
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.study_reader import StudyReader
from shared.gate.study_timeline import require_site
from shared.kernel.record import Record
from shared.security.grants import Rights, readable_tenants

PAGE_SIZE = 100
_KEY = re.compile(r"(\d{4}-\d{2}-\d{2})\.([0-9a-f-]{36})|next\.([0-9A-Z-]{0,11})\.(-?\d{1,9})")
_NO_VISIT = ("", -1)


class ReminderKey(NamedTuple):
    """The place of an entry: a day and an id in the log, or a participant and a sequence among the coming visits."""

    day: date | None = None
    reminder_id: UUID | None = None
    participant_id: str = ""
    sequence: int = -1

    def __str__(self) -> str:
        return f"{self.day}.{self.reminder_id}" if self.day else f"next.{self.participant_id}.{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> ReminderKey:
        """Reads the text of a key. Raises ValueError."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise ValueError("This is no key of the log of reminders.")
        if match[1]:
            return cls(date.fromisoformat(match[1]), UUID(match[2]))
        return cls(participant_id=match[3], sequence=int(match[4]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderRequest:
    """The filters of the log; None and no states select everything."""

    site: str | None = None
    participant: str | None = None
    states: Sequence[ReminderState] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderEntry:
    """A reminder, with the digests that have it. `is_coming`: it has no row yet."""

    reminder: Reminder
    deliveries: Sequence[Delivery] = ()
    is_coming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderPage:
    """A page of the log. `next`: the key after which the next page begins; None on the last page."""

    current: ProjectionPosition
    rows: Sequence[ReminderEntry]
    next: ReminderKey | None


class ReminderListService:
    """Lists the reminders of participants at the sites that a member sees."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader = reader

    async def list_page(
        self,
        study_id: str,
        member: str,
        request: ReminderRequest,
        after: ReminderKey | None = None,
        limit: int = PAGE_SIZE,
    ) -> ReminderPage:
        """Returns at most `limit` entries beyond the key: the log, the latest day first, then the coming reminders.

        Raises NotFound for a member without a grant, Forbidden for one who sees no participants or not those of the
        site, RequestRejected for a site that the study does not have.
        """
        rights, study = await self._reader.participant_rights(study_id, member)
        readable_tenants(rights, request.site)
        require_site(study.record, request.site)
        current = await self._reader.projection_position(study_id)
        selection = ReminderSelection(
            study_id=study_id, site=request.site, participant=request.participant, states=request.states
        )
        if after is None or after.day:
            entries, has_more = await self._log_page(selection, rights, after, limit)
            if has_more:
                last = entries[-1].reminder
                return ReminderPage(current=current, rows=entries, next=ReminderKey(last.day, last.reminder_id))
        else:
            entries = []
        if request.states and "planned" not in request.states:
            return ReminderPage(current=current, rows=entries, next=None)
        if len(entries) == limit:
            return ReminderPage(current=current, rows=entries, next=ReminderKey())
        start = (after.participant_id, after.sequence) if after and not after.day else _NO_VISIT
        coming, next_key = await self._coming(selection, rights, study.record, start, limit - len(entries))
        return ReminderPage(current=current, rows=[*entries, *coming], next=next_key)

    async def _log_page(
        self, selection: ReminderSelection, rights: Rights, after: ReminderKey | None, limit: int
    ) -> tuple[list[ReminderEntry], bool]:
        """Returns a page of the log, and whether more follow."""
        start = (after.day, after.reminder_id) if after and after.day and after.reminder_id else None
        reminders = list[Reminder]()
        deliveries = dict[UUID, list[Delivery]]()
        async with self._reader.open_snapshot(selection.study_id, rights) as snapshot:
            async for connection in snapshot:
                of_tenant = await repository.load_log(connection, selection, start, limit + 1)
                ids = [reminder.reminder_id for reminder in of_tenant]
                deliveries |= await repository.load_deliveries(connection, selection.study_id, ids)
                reminders += of_tenant
        reminders.sort(key=lambda reminder: (reminder.day, reminder.reminder_id), reverse=True)
        page = [
            ReminderEntry(reminder=reminder, deliveries=deliveries.get(reminder.reminder_id, ()))
            for reminder in reminders[:limit]
        ]
        return page, len(reminders) > limit

    async def _coming(
        self, selection: ReminderSelection, rights: Rights, study: Record, start: tuple[str, int], limit: int
    ) -> tuple[list[ReminderEntry], ReminderKey | None]:
        """Returns the coming reminders of visits after a participant and a sequence, and the key of the next page."""
        todays = self._reader.today_by_site(selection.study_id, study)
        coming_steps = ComingSteps.from_study(study, todays)
        todays = {site: today for site, today in todays.items() if selection.site in (None, site)}
        visits, reminders = list[ComingVisit](), list[Reminder]()
        async with self._reader.open_snapshot(selection.study_id, rights) as snapshot:
            async for connection in snapshot:
                of_tenant = await repository.load_coming_visits(connection, selection, todays, start, limit + 1)
                ids = sorted({visit.participant_id for visit in of_tenant})
                reminders += await repository.load_reminders_of(connection, selection.study_id, ids)
                visits += of_tenant
        visits.sort(key=lambda visit: visit[:2])
        words = await self._reader.words({visit.schedule for visit in visits})
        page = visits[:limit]
        coming = [_coming_entry(visit, words, reminders, coming_steps, selection.study_id) for visit in page]
        last = page[-1] if len(visits) > limit else None
        next_key = ReminderKey(participant_id=last.participant_id, sequence=last.sequence) if last else None
        return [entry for entry in coming if entry], next_key


def _coming_entry(
    visit: ComingVisit,
    words: Mapping[int, str],
    reminders: Sequence[Reminder],
    coming_steps: ComingSteps,
    study_id: str,
) -> ReminderEntry | None:
    schedule, occasion = words[visit.schedule], visit.occasion
    key = (visit.participant_id, schedule, occasion.visit.number)
    rows = [row for row in reminders if (row.participant_id, row.schedule, row.visit) == key]
    scheduled = ScheduledVisit(
        study_id=study_id, participant_id=visit.participant_id, schedule=schedule, occasion=occasion, rows=rows
    )
    reminder = next_reminder(scheduled, coming_steps)
    return ReminderEntry(reminder=reminder, is_coming=True) if reminder else None
