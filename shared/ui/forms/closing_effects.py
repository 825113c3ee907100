"""Counts what the end of accrual or the closure of a study stops, for the page that is shown before it is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from fastapi import Request

from shared.contracts.event import Event, stated_facts
from shared.contracts.study import AccrualClosed, StudyClosed
from shared.contracts.treatment import RadiotherapyCompleted, RadiotherapyDiscontinued, RadiotherapyStarted
from shared.gate.study_timeline import site_is_closed, site_was_active
from shared.kernel.fact import Correction, Fact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record, current_record
from shared.offload import offload
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.ui.forms.site_counts import SiteCount, count_participants
from shared.ui.forms.targets import FindEffects
from shared.ui.forms.visits import list_stopped_visits
from shared.ui.forms.words import FactLine
from shared.web.service import get_service

CLOSING_FACTS = frozenset({AccrualClosed, StudyClosed})
"""Facts whose effects are counted: those that are declared with `requires_check`."""
MAX_EVENTS = 20_000
"""Events of a study that are read to count its visits."""
_PAGE_SIZE = 2_000
_COURSE_FACTS = (RadiotherapyStarted, RadiotherapyCompleted, RadiotherapyDiscontinued)
_COURSE_TYPES = frozenset(fact.type_name for fact in _COURSE_FACTS)
_READ_TYPES = _COURSE_TYPES | {Correction.type_name}


@dataclass(frozen=True, slots=True)
class VisitCount:
    """The planned visits that a closure on a day stops. `has_more`: not every participant was counted."""

    visits: int
    has_more: bool


def closing_effects(request: Request, study_id: str, study: Record, fact: type[Fact]) -> FindEffects | None:
    """Returns the function that counts what the fact stops; None for facts that close neither accrual nor the study."""

    async def find_effects(body: Mapping[str, Any]) -> Sequence[FactLine]:
        last_day = date.fromisoformat(str(body["on"]))
        when = PartialDate.from_day(last_day)
        counts = [
            count
            for count in await count_participants(request, study_id, study)
            if not site_is_closed(study, count.site_id, when)
        ]
        site_count = sum(site_was_active(study, count.site_id, when) for count in counts)
        if fact is AccrualClosed:
            return list(accrual_lines(counts, site_count))
        visits = await _count_visits(request, study_id, study, counts, last_day)
        return list(study_lines(counts, site_count, visits))

    return find_effects if fact in CLOSING_FACTS else None


def accrual_lines(counts: Sequence[SiteCount], site_count: int) -> Iterator[FactLine]:
    """Yields what the end of accrual stops, and what goes on."""
    waiting = _statuses_in_words(counts, {"screening": "in screening", "consented": "with consent"})
    yield FactLine("Participants who cannot be enrolled after that day", waiting)
    yield FactLine("Sites that cannot screen after that day", str(site_count))
    enrolled = _total(counts, ["enrolled"])
    yield FactLine("Enrolled participants", f"{enrolled}: their follow-up goes on, and none of their visits stops")


def study_lines(counts: Sequence[SiteCount], site_count: int, visits: VisitCount) -> Iterator[FactLine]:
    """Yields what the closure of a study stops."""
    words = {"screening": "in screening", "consented": "with consent", "enrolled": "enrolled"}
    yield FactLine("Participants who can have no facts dated after that day", _statuses_in_words(counts, words))
    yield FactLine("Sites that take part on that day", str(site_count))
    yield FactLine(
        "Planned visits whose window closes on that day or later",
        f"{_at_least(visits.visits, has_more=visits.has_more)}, counted from the ends of radiotherapy that are known "
        "to the day. Visits that took place already, and those of participants who died or were lost, are among them",
    )


def _statuses_in_words(counts: Sequence[SiteCount], words: Mapping[str, str]) -> str:
    parts = [f"{_total(counts, [status])} {word}" for status, word in words.items()]
    return f"{_total(counts, words)}: {', '.join(parts)}"


def _total(counts: Sequence[SiteCount], statuses: Iterable[str]) -> str:
    number = sum(count.by_status.get(status, 0) for count in counts for status in statuses)
    return _at_least(number, has_more=any(count.has_more for count in counts))


def _at_least(number: int, *, has_more: bool) -> str:
    return f"at least {number}" if has_more else str(number)


async def _count_visits(
    request: Request, study_id: str, study: Record, counts: Sequence[SiteCount], last_day: date
) -> VisitCount:
    events, is_cut_off = await _load_course_events(request, study_id, [count.site_id for count in counts])
    enrolled = frozenset[str]().union(*(count.enrolled for count in counts))
    of_enrolled = [event for event in events if event.stream_id in enrolled]
    visits = await offload(
        request.state.caller.subject,
        lambda: sum(len(list_stopped_visits(study, record, last_day)) for record in _course_records(of_enrolled)),
        item_count=len(of_enrolled),
    )
    return VisitCount(visits, has_more=is_cut_off or any(count.has_more for count in counts))


async def _load_course_events(request: Request, study_id: str, sites: Sequence[str]) -> tuple[list[Event], bool]:
    """Returns the events that begin, end or correct courses, and whether the study has more events than were read."""
    events: list[Event] = []
    position, read = ("", 0), 0
    async with get_service(request).store.unit(Tenant(study_id, EVERY_SITE)) as unit:
        while read < MAX_EVENTS:
            page = await unit.list_events(sites=sites, after=position, limit=_PAGE_SIZE)
            events += (event for event in page if event.type in _READ_TYPES and event.is_readable)
            if len(page) < _PAGE_SIZE:
                return events, False
            position, read = (page[-1].stream_id, page[-1].version), read + len(page)
    return events, True


def _course_records(events: Sequence[Event]) -> Iterator[Record]:
    """Yields the record of the courses of each participant. `events` are sorted by participant and version."""
    for _, of_participant in groupby(events, key=lambda event: event.stream_id):
        read_events = list(of_participant)
        course_ids = {str(event.event_id) for event in read_events if event.type in _COURSE_TYPES}
        yield current_record(
            stated_facts(e for e in read_events if course_ids & {str(e.event_id), e.content.get("event_id")})
        )
