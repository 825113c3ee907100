"""The history of a participant in all services, and the streams of participants and studies that tests share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from shared.contracts.event import Event, stated_facts
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.kernel.record import current_record
from shared.testing.builders.events import STUDY_ID, EventStream, service_of
from shared.testing.builders.facts import (
    accrual_closed,
    lesion_registered,
    participant_enrolled,
    participant_screened,
    participant_transferred,
    site_activated,
)
from shared.testing.seeded_random import seeded_random

KNOWN_ON = date(2025, 1, 31)
"""The day by which analytics takes facts as known, unless a test gives another one."""


@dataclass
class ParticipantHistory:
    """Records facts of one participant as events of the services that state them, in one stream for each service.

    `events` has all of them in the order of recording. `recorded_at`: the time at which everything is recorded; without
    it, each event is a minute later than the one before it in its stream.
    """

    study_id: str = STUDY_ID
    participant_id: str = field(default_factory=new_participant_id)
    site_id: str = "rome"
    recorded_at: datetime | None = None
    events: list[Event] = field(default_factory=list)
    streams: dict[str, EventStream] = field(default_factory=dict)

    def record(self, *facts: Fact, recorded_at: datetime | None = None) -> Event:
        """Returns the last of the events."""
        for fact in facts:
            stream = self.stream(service_of(fact))
            self.events.append(stream.record(fact, recorded_at=recorded_at or self.recorded_at))
        return self.events[-1]

    def correct(self, event: Event, replacement: Fact | None) -> Event:
        """Restates an event, or re-instates it after a void; without a replacement, voids it."""
        self.events.append(self.stream(event.service).correct(event, replacement, recorded_at=self.recorded_at))
        return self.events[-1]

    def void(self, event: Event) -> Event:
        return self.correct(event, None)

    def stream(self, service: str) -> EventStream:
        return self.streams.setdefault(service, EventStream(self.study_id, self.participant_id, service, self.site_id))

    def standing_events(self, known_on: date | None = KNOWN_ON) -> list[Event]:
        """Returns the events whose facts are current, each with its current content, as analytics reads them."""
        event_by_id = {event.event_id: event for event in self.events}
        return [
            replace(event_by_id[stated.event_id], data=stated.fact.model_dump_json(), known_on=known_on)
            for stated in current_record(stated_facts(self.events)).stated_facts
        ]


def participant_events(facts: Iterable[Fact], participant_id: str = "P", known_on: date = KNOWN_ON) -> list[Event]:
    """Returns the events of facts of one participant, as analytics reads them; each service counts its own versions."""
    history = ParticipantHistory(participant_id=participant_id)
    for fact in facts:
        history.record(fact)
    return [replace(event, known_on=known_on) for event in history.events]


def reordered(events: Sequence[Event], seed: int) -> list[Event]:
    """Returns the same facts recorded in another order, with the versions that each service then gives them."""
    versions, reordered_events = Counter[str](), list[Event]()
    for event in seeded_random(seed).sample(events, len(events)):
        versions[event.service] += 1
        reordered_events.append(replace(event, version=versions[event.service]))
    return reordered_events


def participant_stream(study_id: str, *facts: Fact) -> EventStream:
    """Returns the enrollment stream of a participant who is screened and enrolled, with these facts after that."""
    stream = EventStream(study_id)
    stream.record(participant_screened(), participant_enrolled(8), *facts)
    return stream


def corrected_participant_stream(study_id: str) -> EventStream:
    """Returns a stream with all that corrections do: restate, void, re-instate, void for good, move to a new site."""
    stream = participant_stream(study_id)
    first_lesion, second_lesion = stream.record(lesion_registered("L1")), stream.record(lesion_registered("L2"))
    stream.correct(first_lesion, lesion_registered("L3"))
    stream.void(first_lesion)
    stream.void(second_lesion)
    stream.correct(first_lesion, lesion_registered("L4"))
    transfer_event = stream.record(participant_transferred("milan", "2024-05-01"))
    stream.correct(transfer_event, participant_transferred("west", "2024-05-01"))
    stream.void(stream.record(participant_transferred("east", "2024-03")))
    return stream


def study_stream(study_id: str) -> EventStream:
    """Returns the stream of a study with three sites, whose accrual is closed."""
    stream = EventStream(study_id, study_id)
    stream.record(*(site_activated(site) for site in ("rome", "milan", "west")), accrual_closed("2025-01-31"))
    return stream
