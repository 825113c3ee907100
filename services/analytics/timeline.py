"""One participant from the first day to the last: every fact that stands, from all services, in clinical order. Pure.

A day is what analyses take an imprecise date for: of a month the 15th, of a year 1 July, never after all of it was
known; an end never comes before its beginning, nor death before what is known of the living.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.analytics.cohort import Participant, present_site
from services.analytics.days import Thread, thread
from services.analytics.telling import LANES, UNTOLD, Known, told
from shared.contracts.enrollment import (
    BaselineRecorded,
    Consented,
    Enrolled,
    LesionRegistered,
    ProcedurePerformed,
    Screened,
    ScreenFailed,
    Transferred,
    Withdrawn,
)
from shared.contracts.event import Event
from shared.contracts.followup import (
    Died,
    FollowUpRecorded,
    FollowUpResumed,
    Lost,
    Progressed,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import Assessed, SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact
from shared.kernel.record import Record

_ON_ONE_DAY: tuple[type[Fact], ...] = (
    Screened, ScreenFailed, Consented, Enrolled, BaselineRecorded, LesionRegistered, ProcedurePerformed,
    FollowUpRecorded, VisitMissed, Progressed, RadiotherapyStarted, PrescriptionChanged, SystemicTherapyStarted,
    RadiotherapyCompleted, RadiotherapyDiscontinued, SystemicTherapyStopped, Assessed, SeriousEventReported,
    SeriousEventUpdated, SeriousEventResolved, VitalStatusConfirmed, Lost, FollowUpResumed, Transferred, Withdrawn,
    Died,
)  # fmt: skip
"""What comes first of two facts of one day: people are seen, then it is decided, then treated, then tolerated."""
_RANK = {kind: float(place) for place, kind in enumerate(_ON_ONE_DAY)}
_ENDS = (RadiotherapyCompleted, RadiotherapyDiscontinued, SystemicTherapyStopped, SeriousEventResolved)
_BEGINNINGS = (RadiotherapyStarted, SystemicTherapyStarted, SeriousEventReported)
_OVER = {"RECOVERED/RESOLVED", "RECOVERED/RESOLVED WITH SEQUELAE", "FATAL"}
_JUST_AFTER = 0.5


@dataclass(frozen=True, slots=True)
class _Dated:
    """A fact with the date that it is placed by, and the day that date is taken for."""

    event: Event
    fact: Fact
    when: PartialDate | None
    day: date | None


def timeline(
    events: Sequence[Event],
    today: date,
    names: Mapping[str, str] | None = None,
    corrected: Collection[UUID] = (),
    known_on: date | None = None,
) -> dict[str, Any]:
    """What the standing events of one screened participant tell, ready for JSON.

    `names`: toxicity terms by id, where they are known. `corrected`: events that were stated otherwise at first. A fact
    about the record (an explained query, a reminder) is no part of a life and is not told.
    """
    known = [(event, event.stated()) for event in events if event.is_known]
    record = Record(tuple(stated for _, stated in known))
    by_then = known_on or today
    one = Participant(events[0].stream_id, record, by_then)
    told_of = [(event, stated.fact) for event, stated in known if not isinstance(stated.fact, UNTOLD)]
    dated = list(_dated(told_of, one))
    close = _close(dated, today)
    entries = [_entry(each, _Around(dated, close, by_then), Known(record, names or {})) for each in _in_order(dated)]
    for entry in entries:
        entry["corrected"] = UUID(entry["event_id"]) in corrected
    present = {entry["lane"] for entry in entries}
    return {
        "study_id": events[0].study_id,
        "participant_id": events[0].stream_id,
        "site_id": present_site(record),
        "status": status(record, by_then),
        "today": today.isoformat(),
        "ends_on": max([close, *(each.day for each in dated if each.day)]).isoformat(),
        "imputed_dates": sum(entry["imputed"] for entry in entries),
        "lanes": [{"lane": lane, "title": title} for lane, title in LANES.items() if lane in present],
        "entries": entries,
    }


def status(record: Record, known_on: date) -> str:
    """Where a participant is in the study: of what holds, what weighs most."""
    if record.facts(Died):
        return "died"
    if record.facts(Withdrawn):
        return "withdrawn"
    if Participant("", record, known_on).lost_on(date.max):
        return "lost"
    reached = ((Enrolled, "enrolled"), (ScreenFailed, "screen_failed"), (Consented, "consented"))
    return next((name for kind, name in reached if record.facts(kind)), "screening")


def _dated(told_of: Sequence[tuple[Event, Fact]], one: Participant) -> Iterator[_Dated]:
    """With the days that figures take them for."""
    for event, fact in told_of:
        when = _when(fact)
        if when is None:
            yield _Dated(event, fact, None, None)
        else:
            yield _Dated(event, fact, when, one.day(fact) if when == fact.happened_on else when.earliest)


def _when(fact: Fact) -> PartialDate | None:
    """What is learnt of a serious event later goes by the day on which it was learnt."""
    match fact:
        case SeriousEventResolved(resolved_on=PartialDate() as resolved):
            return resolved
        case SeriousEventUpdated() | SeriousEventResolved():
            return PartialDate.of(fact.aware_at.date())
    return fact.happened_on


def _close(dated: Sequence[_Dated], today: date) -> date:
    """Up to which day what has no end goes on: death, the last known day where that has no date, else today."""
    deaths = [each for each in dated if isinstance(each.fact, Died)]
    if not deaths:
        return today
    return deaths[0].day or max((each.day for each in dated if each.day), default=today)


def _in_order(dated: Sequence[_Dated]) -> list[_Dated]:
    """By day, then as things follow each other within a day, then by what they say, so that the order in which they
    were stated does not show; undated ones last."""
    begun = {thread(each.fact): each.day for each in dated if isinstance(each.fact, _BEGINNINGS)}

    def place(each: _Dated) -> tuple[bool, date, float, str, str, int]:
        earlier = (begun.get(thread(each.fact)) or date.max) < (each.day or date.max)
        rank = _rank(each.fact, begun_earlier=earlier)
        said = each.fact.model_dump_json()
        return each.day is None, each.day or date.max, rank, each.event.type, said, each.event.version

    return sorted(dated, key=place)


def _rank(fact: Fact, *, begun_earlier: bool) -> float:
    """A treatment ends before what the day brings next, but never before its own beginning."""
    match fact:
        case Assessed(timepoint="baseline"):
            return _RANK[BaselineRecorded] + _JUST_AFTER
        case RadiotherapyCompleted() | RadiotherapyDiscontinued() if begun_earlier:
            return _RANK[ProcedurePerformed] + _JUST_AFTER
        case SystemicTherapyStopped() if begun_earlier:
            return _RANK[Progressed] + _JUST_AFTER
    return _RANK.get(type(fact), _RANK[VitalStatusConfirmed])


@dataclass(frozen=True, slots=True)
class _Around:
    """What an entry's end is found in."""

    dated: Sequence[_Dated]
    close: date
    known_on: date

    def end_of(self, each: _Dated) -> tuple[date, bool] | None:
        """Last day of what lasts, and whether no end is stated; None for what happens on a day."""
        if each.day is None or not self._lasts(each.fact):
            return None
        end = min((other for other in self._ends(each) if other >= each.day), default=None)
        return (end, False) if end else (max(self.close, each.day), True)

    def _lasts(self, fact: Fact) -> bool:
        if isinstance(fact, SeriousEventReported):
            return fact.outcome not in _OVER or any(self._ends_thread(thread(fact)))
        return isinstance(fact, (*_BEGINNINGS, Lost))

    def _ends(self, each: _Dated) -> Iterable[date]:
        if isinstance(each.fact, Lost):
            return [other.day for other in self.dated if isinstance(other.fact, FollowUpResumed) and other.day]
        return self._ends_thread(thread(each.fact))

    def _ends_thread(self, of: Thread | None) -> Iterator[date]:
        for other in self.dated:
            if isinstance(other.fact, _ENDS) and thread(other.fact) == of and other.day:
                yield other.day


def _entry(each: _Dated, around: _Around, known: Known) -> dict[str, Any]:
    """`on` is as stated. `from` to `until`: of what lasts its first and last day, else the days it may have been on."""
    said, lasting = told(each.fact, known), around.end_of(each)
    first, last = _may_be(each.when, around.known_on) if lasting is None else (each.day, lasting[0])
    return {
        "event_id": str(each.event.event_id),
        "service": each.event.service,
        "type": each.event.type,
        "version": each.event.version,
        "recorded_at": each.event.recorded_at.isoformat(),
        "on": str(each.when) if each.when else None,
        "day": each.day.isoformat() if each.day else None,
        "from": first.isoformat() if first else None,
        "until": last.isoformat() if last else None,
        "lasts": lasting is not None,
        "ongoing": lasting is not None and lasting[1],
        "imputed": each.when is not None and not each.when.is_exact,
        "lane": said.lane,
        "title": said.title,
        "label": said.label,
        "detail": list(said.detail),
        **said.more,
    }


def _may_be(when: PartialDate | None, known_on: date) -> tuple[date | None, date | None]:
    if when is None:
        return None, None
    return when.earliest, max(when.earliest, min(when.latest, known_on))
