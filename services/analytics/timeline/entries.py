"""Assembles the timeline of a participant: every current fact, from all services, in clinical order. Pure.

A partial date is placed on the imputed day that figures use (`cohort/date_imputation.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from services.analytics.cohort.episodes import LASTING_ENDS, LASTING_STARTS, EpisodeId, episode_of
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participants import participant_of_events
from services.analytics.cohort.participation_status import participation_status
from services.analytics.timeline.answers import Lane, TimelineAnswer, TimelineEntry
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
from shared.kernel.zones import zone_rules

_ENDED_OUTCOMES = {"RECOVERED/RESOLVED", "RECOVERED/RESOLVED WITH SEQUELAE", "FATAL"}
_RANK_AFTER = 0.5


@dataclass(frozen=True, slots=True)
class DatedFact:
    """A fact with the date that places it on the timeline, and the day that analyses use for it. None: undated.

    `known_on`: the study's day when the fact was recorded.
    """

    event: Event
    fact: Fact
    partial_date: PartialDate | None
    day: date | None
    known_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineContext:
    """The state of the study that a timeline shows.

    `position`, and `recorded_at` of the last fact up to it. `today`: the day up to which open episodes last. `zones`:
    the time zones of the sites, by whose clocks times are shown; UTC for a site that is not among them.
    """

    position: int
    recorded_at: datetime | None
    today: date
    zones: Mapping[str, str] = field(default_factory=dict)


def assemble_timeline(
    events: Sequence[Event],
    context: TimelineContext,
    term_names: Mapping[str, str] | None = None,
    corrected_ids: Collection[UUID] = (),
) -> TimelineAnswer:
    """Returns the timeline of one screened participant.

    `events`: the current facts of all services. `term_names`: names of toxicity terms by id. `corrected_ids`: the
    events that were corrected. Facts about the record (an explained query, a reminder) are left out, and facts of types
    that only a later release has. Raises UnreadableFact for content that cannot be read.
    """
    participant = participant_of_events(events[0].stream_id, [event for event in events if event.is_readable])
    zone = context.zones.get(participant.current_site, "UTC")
    dated_facts = list(_with_imputed_days(events, participant, zone))
    spans = SpanContext(dated_facts, _open_end(dated_facts, context.today))
    descriptions = DescriptionContext(participant.record, term_names or {}, zone)
    entries = tuple(
        _entry(dated_fact, spans, descriptions, is_corrected=dated_fact.event.event_id in corrected_ids)
        for dated_fact in _sort_clinically(dated_facts)
    )
    return TimelineAnswer(
        position=context.position,
        recorded_at=context.recorded_at,
        study_id=events[0].study_id,
        participant_id=events[0].stream_id,
        site_id=participant.current_site,
        status=participation_status(participant),
        today=context.today,
        ends_on=max([spans.open_end, *(dated_fact.day for dated_fact in dated_facts if dated_fact.day)]),
        imputed_dates=sum(entry.imputed for entry in entries),
        lanes=_lanes(entries),
        entries=entries,
    )


def _lanes(entries: Sequence[TimelineEntry]) -> tuple[Lane, ...]:
    """Returns the lanes that have an entry, from top to bottom."""
    lanes_present = {entry.lane for entry in entries}
    return tuple(Lane(lane=lane, title=title) for lane, title in LANES.items() if lane in lanes_present)


def _with_imputed_days(events: Sequence[Event], participant: Participant, zone: str) -> Iterator[DatedFact]:
    """Pairs each fact of the timeline with its imputed day, as figures do."""
    events_by_id = {event.event_id: event for event in events}
    for stated in participant.record.stated_facts:
        if not isinstance(stated.fact, NOT_ON_TIMELINE):
            yield _with_imputed_day(events_by_id[stated.event_id], stated.fact, participant, zone)


def _with_imputed_day(event: Event, fact: Fact, participant: Participant, zone: str) -> DatedFact:
    partial_date = _placement_date(fact, zone)
    is_clinical_date = partial_date is not None and partial_date == fact.happened_on
    return DatedFact(
        event=event,
        fact=fact,
        partial_date=partial_date,
        day=participant.day(fact) if is_clinical_date else partial_date.earliest if partial_date else None,
        known_on=participant.known_on[event.event_id],
    )


def _placement_date(fact: Fact, zone: str) -> PartialDate | None:
    """Returns the date that places a fact; for a follow-up report of a serious event the day the site became aware.

    That day is the one of the zone.
    """
    match fact:
        case SeriousEventResolved(resolved_on=PartialDate() as resolved):
            return resolved
        case SeriousEventUpdated() | SeriousEventResolved():
            return PartialDate.from_day(fact.aware_at.astimezone(zone_rules(zone)).date())
    return fact.happened_on


def _open_end(dated_facts: Sequence[DatedFact], today: date) -> date:
    """Returns the day up to which open episodes last: death (if undated, the last known day), otherwise today."""
    deaths = [dated_fact for dated_fact in dated_facts if isinstance(dated_fact.fact, ParticipantDied)]
    if not deaths:
        return today
    return deaths[0].day or max((dated_fact.day for dated_fact in dated_facts if dated_fact.day), default=today)


def _sort_clinically(dated_facts: Sequence[DatedFact]) -> list[DatedFact]:
    """Sorts by day, clinical order and content, never by order of recording; undated facts come last."""
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
    """Returns the clinical rank; a treatment from an earlier day ends before the other facts of its last day."""
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

    def end_of(self, dated_fact: DatedFact) -> tuple[date, bool] | None:
        """Returns the last day of an episode, and True if no end is recorded; None for a fact of a single day."""
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


def _entry(
    dated_fact: DatedFact, span_context: SpanContext, description_context: DescriptionContext, *, is_corrected: bool
) -> TimelineEntry:
    event, partial_date = dated_fact.event, dated_fact.partial_date
    description, span = describe(dated_fact.fact, description_context), span_context.end_of(dated_fact)
    first_day, last_day = (
        _possible_range(partial_date, dated_fact.known_on) if span is None else (dated_fact.day, span[0])
    )
    return TimelineEntry(
        event_id=event.event_id,
        service=event.service,
        type=event.type,
        version=event.version,
        recorded_at=event.recorded_at,
        on=str(partial_date) if partial_date else None,
        day=dated_fact.day,
        from_=first_day,
        until=last_day,
        lasts=span is not None,
        ongoing=span is not None and span[1],
        imputed=partial_date is not None and not partial_date.is_exact,
        lane=description.lane,
        title=description.title,
        label=description.label,
        detail=description.detail,
        corrected=is_corrected,
        **description.members,
    )


def _possible_range(partial_date: PartialDate | None, known_on: date) -> tuple[date | None, date | None]:
    """Returns the first and last day that a date can mean; no day after `known_on`."""
    if partial_date is None:
        return None, None
    return partial_date.earliest, max(partial_date.earliest, min(partial_date.latest, known_on))
