"""The entries of a participant's timeline: every fact that stands, from all services, in clinical order. Pure.

A partial date is placed on the imputed day that figures use (`cohort/date_imputation.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.analytics.cohort.episodes import LASTING_ENDS, LASTING_STARTS, EpisodeId, episode_of
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participation_status import participation_status
from services.analytics.timeline.descriptions.context import DescriptionContext
from services.analytics.timeline.descriptions.describe import LANES, NOT_ON_TIMELINE, describe
from shared.contracts.clinical_order import CLINICAL_RANKS
from shared.contracts.enrollment import BaselineRecorded, ProcedurePerformed
from shared.contracts.event import Event
from shared.contracts.follow_up import (
    DiseaseProgressed,
    FollowUpResumed,
    LostToFollowUp,
    ParticipantDied,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated, ToxicityAssessed
from shared.contracts.treatment import RadiotherapyCompleted, RadiotherapyDiscontinued, SystemicTherapyStopped
from shared.kernel.fact import Fact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record

_ENDED_OUTCOMES = {"RECOVERED/RESOLVED", "RECOVERED/RESOLVED WITH SEQUELAE", "FATAL"}
_RANK_AFTER = 0.5


@dataclass(frozen=True, slots=True)
class DatedFact:
    """A fact with the date that places it on the timeline, and the day that this date is taken for; None: undated."""

    event: Event
    fact: Fact
    partial_date: PartialDate | None
    day: date | None


def assemble_timeline(
    events: Sequence[Event],
    today: date,
    term_names: Mapping[str, str] | None = None,
    corrected_ids: Collection[UUID] = (),
    known_until: date | None = None,
) -> dict[str, Any]:
    """The timeline of one screened participant, ready for JSON.

    `events`: the facts that stand, of all services. `today`: the day up to which open episodes last. `term_names`:
    toxicity terms by id, as far as they are known. `corrected_ids`: events that were corrected. `known_until`: the last
    day that dates are imputed to; None: today. Facts about the record (an explained query, a reminder) are left out.
    """
    readable = [(event, event.stated_fact()) for event in events if event.is_readable]
    record = Record(tuple(stated for _, stated in readable))
    known_until = known_until or today
    participant = Participant(events[0].stream_id, record, known_until)
    events_and_facts = [
        (event, stated.fact) for event, stated in readable if not isinstance(stated.fact, NOT_ON_TIMELINE)
    ]
    dated_facts = list(_with_imputed_days(events_and_facts, participant))
    open_end = _open_end(dated_facts, today)
    entries = [
        _entry(
            dated_fact, SpanContext(dated_facts, open_end, known_until), DescriptionContext(record, term_names or {})
        )
        for dated_fact in _sort_clinically(dated_facts)
    ]
    for entry in entries:
        entry["corrected"] = UUID(entry["event_id"]) in corrected_ids
    lanes_present = {entry["lane"] for entry in entries}
    return {
        "study_id": events[0].study_id,
        "participant_id": events[0].stream_id,
        "site_id": participant.current_site,
        "status": participation_status(participant),
        "today": today.isoformat(),
        "ends_on": max([open_end, *(dated_fact.day for dated_fact in dated_facts if dated_fact.day)]).isoformat(),
        "imputed_dates": sum(entry["imputed"] for entry in entries),
        "lanes": [{"lane": lane, "title": title} for lane, title in LANES.items() if lane in lanes_present],
        "entries": entries,
    }


def _with_imputed_days(events_and_facts: Sequence[tuple[Event, Fact]], participant: Participant) -> Iterator[DatedFact]:
    """Pair each fact with its imputed day, as figures do."""
    for event, fact in events_and_facts:
        partial_date = _placement_date(fact)
        if partial_date is None:
            yield DatedFact(event, fact, None, None)
        else:
            yield DatedFact(
                event,
                fact,
                partial_date,
                participant.day(fact) if partial_date == fact.happened_on else partial_date.earliest,
            )


def _placement_date(fact: Fact) -> PartialDate | None:
    """The date that places a fact; for later news of a serious event the day on which the site became aware of it."""
    match fact:
        case SeriousEventResolved(resolved_on=PartialDate() as resolved):
            return resolved
        case SeriousEventUpdated() | SeriousEventResolved():
            return PartialDate.from_day(fact.aware_at.date())
    return fact.happened_on


def _open_end(dated_facts: Sequence[DatedFact], today: date) -> date:
    """The day up to which open episodes last: death, for a death without a date the last known day, else today."""
    deaths = [dated_fact for dated_fact in dated_facts if isinstance(dated_fact.fact, ParticipantDied)]
    if not deaths:
        return today
    return deaths[0].day or max((dated_fact.day for dated_fact in dated_facts if dated_fact.day), default=today)


def _sort_clinically(dated_facts: Sequence[DatedFact]) -> list[DatedFact]:
    """Sort by day, clinical order and content, so that the order of stating does not show; undated facts come last."""
    start_days = {
        episode_of(dated_fact.fact): dated_fact.day
        for dated_fact in dated_facts
        if isinstance(dated_fact.fact, LASTING_STARTS)
    }

    def sort_key(dated_fact: DatedFact) -> tuple[bool, date, float, str, str, int]:
        begun_earlier = (start_days.get(episode_of(dated_fact.fact)) or date.max) < (dated_fact.day or date.max)
        rank = _rank(dated_fact.fact, begun_earlier=begun_earlier)
        content = dated_fact.fact.model_dump_json()
        return (
            dated_fact.day is None,
            dated_fact.day or date.max,
            rank,
            dated_fact.event.type,
            content,
            dated_fact.event.version,
        )

    return sorted(dated_facts, key=sort_key)


def _rank(fact: Fact, *, begun_earlier: bool) -> float:
    """The clinical rank; a treatment that began on an earlier day ends before the other facts of its last day."""
    match fact:
        case ToxicityAssessed(timepoint="baseline"):
            return CLINICAL_RANKS[BaselineRecorded] + _RANK_AFTER
        case RadiotherapyCompleted() | RadiotherapyDiscontinued() if begun_earlier:
            return CLINICAL_RANKS[ProcedurePerformed] + _RANK_AFTER
        case SystemicTherapyStopped() if begun_earlier:
            return CLINICAL_RANKS[DiseaseProgressed] + _RANK_AFTER
    return CLINICAL_RANKS.get(type(fact), CLINICAL_RANKS[VitalStatusConfirmed])


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Context for computing the end of an entry."""

    dated_facts: Sequence[DatedFact]
    open_end: date
    known_until: date

    def end_of(self, dated_fact: DatedFact) -> tuple[date, bool] | None:
        """The last day of an episode, and whether it is open (no end is stated); None for a fact of a single day."""
        if dated_fact.day is None or not self._lasts(dated_fact.fact):
            return None
        end = min((other for other in self._end_days(dated_fact) if other >= dated_fact.day), default=None)
        return (end, False) if end else (max(self.open_end, dated_fact.day), True)

    def _lasts(self, fact: Fact) -> bool:
        if isinstance(fact, SeriousEventReported):
            return fact.outcome not in _ENDED_OUTCOMES or any(self._episode_end_days(episode_of(fact)))
        return isinstance(fact, (*LASTING_STARTS, LostToFollowUp))

    def _end_days(self, dated_fact: DatedFact) -> Iterable[date]:
        if isinstance(dated_fact.fact, LostToFollowUp):
            return [other.day for other in self.dated_facts if isinstance(other.fact, FollowUpResumed) and other.day]
        return self._episode_end_days(episode_of(dated_fact.fact))

    def _episode_end_days(self, episode: EpisodeId | None) -> Iterator[date]:
        for candidate in self.dated_facts:
            if isinstance(candidate.fact, LASTING_ENDS) and episode_of(candidate.fact) == episode and candidate.day:
                yield candidate.day


def _entry(dated_fact: DatedFact, span_context: SpanContext, description_context: DescriptionContext) -> dict[str, Any]:
    """The JSON entry. `on` is as stated. `from` to `until`: first and last day of an episode, or all possible days."""
    description, span = describe(dated_fact.fact, description_context), span_context.end_of(dated_fact)
    first_day, last_day = (
        _possible_range(dated_fact.partial_date, span_context.known_until)
        if span is None
        else (dated_fact.day, span[0])
    )
    return {
        "event_id": str(dated_fact.event.event_id),
        "service": dated_fact.event.service,
        "type": dated_fact.event.type,
        "version": dated_fact.event.version,
        "recorded_at": dated_fact.event.recorded_at.isoformat(),
        "on": str(dated_fact.partial_date) if dated_fact.partial_date else None,
        "day": dated_fact.day.isoformat() if dated_fact.day else None,
        "from": first_day.isoformat() if first_day else None,
        "until": last_day.isoformat() if last_day else None,
        "lasts": span is not None,
        "ongoing": span is not None and span[1],
        "imputed": dated_fact.partial_date is not None and not dated_fact.partial_date.is_exact,
        "lane": description.lane,
        "title": description.title,
        "label": description.label,
        "detail": list(description.detail),
        **description.data,
    }


def _possible_range(partial_date: PartialDate | None, known_until: date) -> tuple[date | None, date | None]:
    if partial_date is None:
        return None, None
    return partial_date.earliest, max(partial_date.earliest, min(partial_date.latest, known_until))
