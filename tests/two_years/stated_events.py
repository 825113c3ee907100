"""A drawn study as the events that the services publish, each with the instant at which it was recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.kernel.fact import Fact
from shared.protocol.protocol import Protocol
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.events import make_event, service_of
from tests.two_years.generated_history import LATER_COURSE, OPENED_AT
from tests.two_years.history import (
    DeathReport,
    EndOfActivity,
    EndOfConsent,
    EndOfCourse,
    EnteredInError,
    LossReport,
    MissedDeclaration,
    MoveToSite,
    PlainFact,
    PlainPlan,
    PlanAmendment,
    ProofOfLife,
    RecordedParticipant,
    RecordedStudy,
    ReminderSnooze,
    ReturnReport,
    VisitAcknowledgment,
    VisitBooking,
    VisitContact,
)
from tests.two_years.plain_schedule import local_day

ACTIVE_FROM = "2020-12-01"


def protocol_of(plan: PlainPlan) -> Protocol:
    window = {"before": plan.before, "after": plan.after}
    return facts.protocol(
        consent_versions=[{"version": "2.1", "valid_from": "2020-01-01"}],
        follow_up={
            "every_months": plan.every_months,
            "for_months": plan.for_months,
            "window_days": window,
            "anchor_policy": plan.anchor_policy,
        },
        reminders={
            "steps": list(plan.steps),
            "digest_at": plan.digest_at.strftime("%H:%M"),
            "escalate_after_days": plan.escalate_after_days,
        },
    )


def product_fact(fact: PlainFact, recorded_on: date) -> Fact:
    """Returns the fact as a service states it."""
    match fact:
        case EndOfCourse(ended_on=day, course_id=course):
            return facts.radiotherapy_completed(day.isoformat(), course)
        case VisitContact(seen_on=day, visit=visit, course_id=course, by_registry=by_registry):
            mode = "registry" if by_registry else "clinic"
            return follow_up.follow_up_recorded(day.isoformat(), visit=visit, mode=mode, course_id=course)
        case MissedDeclaration(visit=visit, course_id=course):
            return follow_up.visit_missed(recorded_on.isoformat(), visit, course_id=course)
        case VisitBooking(visit=visit, on=day, course_id=course):
            return follow_up.visit_scheduled(day.isoformat(), visit, course_id=course)
        case ReminderSnooze(visit=visit, until=until, course_id=course):
            return follow_up.reminder_snoozed(until.isoformat() if until else None, visit, course_id=course)
        case VisitAcknowledgment(visit=visit, until=until, course_id=course):
            return follow_up.reminder_acknowledged(until.isoformat() if until else None, visit, course_id=course)
        case DeathReport(died_on=died_on):
            return follow_up.participant_died(died_on.isoformat() if died_on else None)
        case EndOfConsent(withdrawn_on=day, from_data_use=from_data_use):
            return facts.consent_withdrawn(day.isoformat(), "data_use" if from_data_use else "follow_up")
        case LossReport(on=day):
            return follow_up.lost_to_follow_up(day.isoformat())
        case ReturnReport(on=day):
            return follow_up.follow_up_resumed(day.isoformat())
        case MoveToSite(to_site=site_id, on=day):
            return facts.participant_transferred(site_id, day.isoformat())
        case ProofOfLife(alive_on=day):
            return follow_up.vital_status_confirmed(day.isoformat())
        case EnteredInError():
            return facts.participant_voided()


@dataclass
class StatedStudy:
    """Makes the events of a drawn study; each service counts the versions of each of its streams."""

    study_id: str
    study: RecordedStudy
    versions: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def event(
        self, fact: Fact, at: datetime, stream_id: str, service: str, site_id: str | None, meta: Mapping[str, Any]
    ) -> Event:
        self.versions[service, stream_id] += 1
        zones = [site.zone for site in self.study.sites if site_id in (None, site.site_id)]
        recorded_on = max(local_day(at, zone) for zone in zones)
        return make_event(
            fact,
            self.versions[service, stream_id],
            stream_id=stream_id,
            study_id=self.study_id,
            service=service,
            site_id=site_id,
            recorded_at=at,
            meta={**meta, "recorded_by": "someone", "recorded_on": recorded_on.isoformat()},
        )

    def study_event(self, fact: Fact, at: datetime) -> Event:
        return self.event(fact, at, self.study_id, "enrollment", None, {})

    def opening(self) -> Iterator[Event]:
        yield self.study_event(facts.study_opened(protocol_of(self.study.plan)), OPENED_AT)
        for site in self.study.sites:
            activated = facts.site_activated(site.site_id, ACTIVE_FROM, site.zone, country=site.country)
            yield self.study_event(activated, OPENED_AT)
        for member, site_id in sorted({(digest.member, digest.site_id) for digest in self.study.digests}, key=str):
            role = "site" if site_id and member.endswith("0") else "coordinator"
            yield self.study_event(facts.member_granted(member, role, site_id), OPENED_AT)

    def amendment(self, number: int, amendment: PlanAmendment) -> Event:
        plan = protocol_of(amendment.plan)
        fact = facts.protocol_amended(amendment.effective_on.isoformat(), plan, f"A{number}")
        return self.study_event(fact, amendment.at)

    def ending(self, ending: EndOfActivity) -> Event:
        on = ending.on.isoformat()
        fact = facts.site_closed(ending.site_id, on) if ending.site_id else facts.study_closed(on)
        return self.study_event(fact, ending.at)

    def enrollment(self, participant: RecordedParticipant) -> Iterator[Event]:
        """Yields the facts that enroll a participant and begin the index course, dated before every end of it."""
        ends = [fact.ended_on for entry in participant.facts if isinstance(fact := entry.fact, EndOfCourse)]
        zone = self.study.site(participant.site_id).zone
        start = min([*ends, local_day(participant.enrolled_at, zone)]) - timedelta(days=20)
        screened, started = (start - timedelta(days=10)).isoformat(), start.isoformat()
        enrolling_facts: tuple[Fact, ...] = (
            facts.participant_screened(screened, site_id=participant.site_id),
            facts.consent_signed(screened, "2.1"),
            facts.participant_enrolled(screened),
            facts.radiotherapy_started(started),
        )
        for enrolling in enrolling_facts:
            yield self.event(
                enrolling, participant.enrolled_at, participant.participant_id, "enrollment", participant.site_id, {}
            )

    def participant(self, participant: RecordedParticipant) -> Iterator[Event]:
        """Yields all facts of a participant, by the site that is the current one at each time."""
        yield from self.enrollment(participant)
        first_events: dict[str, Event] = {}
        site_id = participant.site_id
        for entry in participant.facts:
            if isinstance(entry.fact, EndOfCourse) and entry.name not in first_events and entry.name == LATER_COURSE:
                started = facts.radiotherapy_started(
                    (entry.fact.ended_on - timedelta(days=15)).isoformat(), LATER_COURSE, index=False
                )
                yield self.event(started, entry.at, participant.participant_id, "enrollment", site_id, {})
            recorded_on = local_day(entry.at, self.study.site(site_id).zone)
            fact = product_fact(entry.fact, recorded_on) if entry.fact else None
            corrected = first_events.get(entry.name)
            meta: Mapping[str, Any] = {}
            if corrected:
                service, stated = corrected.service, correction_of(corrected, fact)
                meta = {"corrects": {"type": corrected.type, "version": corrected.version}}
            else:
                assert fact, f"{entry.name} is voided before it is stated"
                service, stated = service_of(fact), fact
            event = self.event(stated, entry.at, participant.participant_id, service, site_id, meta)
            first_events.setdefault(entry.name, event)
            yield event
            if isinstance(entry.fact, MoveToSite):
                site_id = entry.fact.to_site

    def events(self) -> list[Event]:
        """Returns all events in the order of recording."""
        events = [*self.opening(), *self.later_study_events()]
        events += [event for person in self.study.participants for event in self.participant(person)]
        return sorted(events, key=lambda event: event.recorded_at)

    def later_study_events(self) -> list[Event]:
        """Returns amendments and closings in the order of recording, which is that of the stream's versions."""
        amendments = [(amendment.at, number) for number, amendment in enumerate(self.study.amendments)]
        endings = [(ending.at, number) for number, ending in enumerate(self.study.endings, len(amendments))]
        return [
            self.amendment(number + 1, self.study.amendments[number])
            if number < len(amendments)
            else self.ending(self.study.endings[number - len(amendments)])
            for _, number in sorted([*amendments, *endings])
        ]


def correction_of(event: Event, replacement: Fact | None) -> Fact:
    stream = catalogue.find_stream(event.service, is_study=False)
    event_id: UUID = event.event_id
    return stream.correction(event_id=event_id, reason_code="typing_error", replacement=replacement)
