"""Stories told by streams, as events and as the messages that they arrive in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts import catalogue
from shared.contracts.cloudevents import encode
from shared.contracts.enrollment import (
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
)
from shared.contracts.event import Event
from shared.contracts.study import AccrualClosed, SiteActivated
from shared.inbox.stream_cursor import KafkaMessage
from shared.kernel.fact import Fact
from shared.kernel.ids import new_event_id, new_participant_id

FIRST_RECORDED_AT = datetime(2024, 3, 7, 9, 30, tzinfo=UTC)


def participant_screened(site: str = "north") -> ParticipantScreened:
    data = {
        "site_id": site,
        "screened_on": "2024-02-01",
        "sex": "female",
        "birth_year": 1951,
        "criteria": {"age": "met"},
    }
    return ParticipantScreened.model_validate(data)


def participant_enrolled(on: str = "2024-02-09") -> ParticipantEnrolled:
    return ParticipantEnrolled.model_validate({"enrolled_on": on})


def lesion_registered(name: str = "L1") -> LesionRegistered:
    data = {"lesion_id": name, "kind": "metastasis", "body_site": "brain", "found_on": "2024-02-05"}
    return LesionRegistered.model_validate(data)


def participant_transferred(to: str, on: str = "2024-05-01") -> ParticipantTransferred:
    return ParticipantTransferred.model_validate({"to_site": to, "on": on})


def site_activated(site: str = "north") -> SiteActivated:
    data = {"site_id": site, "name": "North", "country": "DE", "time_zone": "Europe/Berlin", "on": "2024-01-01"}
    return SiteActivated.model_validate(data)


def accrual_closed(on: str = "2025-01-31") -> AccrualClosed:
    return AccrualClosed.model_validate({"on": on})


@dataclass
class StreamBuilder:
    """A stream as it is told: each fact gets the next version."""

    study_id: str
    stream_id: str = field(default_factory=new_participant_id)
    service: str = "enrollment"
    site: str | None = "north"
    events: list[Event] = field(default_factory=list)

    def add(self, *facts: Fact) -> Event:
        """The last of the events."""
        for fact in facts:
            self._append(fact, {})
        return self.events[-1]

    def correct(self, event: Event, replacement: Fact | None) -> Event:
        stream = catalogue.find_stream(self.service, is_study=self.study_id == self.stream_id)
        correction = stream.correction(event_id=event.event_id, reason_code="typing_error", replacement=replacement)
        return self._append(correction, {"corrects": {"type": event.type, "version": event.version}})

    def _append(self, fact: Fact, meta: dict[str, Any]) -> Event:
        version = len(self.events) + 1
        recorded_at = FIRST_RECORDED_AT + timedelta(minutes=version)
        self.events.append(
            Event(
                study_id=self.study_id,
                service=self.service,
                stream_id=self.stream_id,
                version=version,
                event_id=new_event_id(),
                type=fact.type_name,
                schema_version=fact.schema_version,
                site_id=self.site,
                data=fact.model_dump_json(),
                recorded_at=recorded_at,
                meta=meta,
            )
        )
        return self.events[-1]

    @property
    def source(self) -> str:
        return f"/studies/{self.study_id}/{self.service}"


def participant_stream(study_id: str, *facts: Fact) -> StreamBuilder:
    """Screened, enrolled, and what else is said."""
    stream = StreamBuilder(study_id)
    stream.add(participant_screened(), participant_enrolled(), *facts)
    return stream


def corrected_participant_stream(study_id: str) -> StreamBuilder:
    """Everything that a correction can do: restate, void, re-instate, void for good, move to another site."""
    stream = participant_stream(study_id)
    first_lesion, second_lesion = stream.add(lesion_registered("L1")), stream.add(lesion_registered("L2"))
    stream.correct(first_lesion, lesion_registered("L3"))
    stream.correct(first_lesion, None)
    stream.correct(second_lesion, None)
    stream.correct(first_lesion, lesion_registered("L4"))
    transfer_event = stream.add(participant_transferred("south"))
    stream.correct(transfer_event, participant_transferred("west"))
    stream.correct(stream.add(participant_transferred("east", "2024-03")), None)
    return stream


def study_stream(study_id: str) -> StreamBuilder:
    stream = StreamBuilder(study_id, study_id, site=None)
    stream.add(site_activated("north"), site_activated("south"), site_activated("west"), accrual_closed())
    return stream


def as_messages(events: Sequence[Event], start: int = 0, partition: int = 0) -> list[KafkaMessage]:
    """Each event as a message, at consecutive offsets of one partition."""
    return [as_message(event, start + place, partition) for place, event in enumerate(events)]


def as_message(event: Event, offset: int = 0, partition: int = 0) -> KafkaMessage:
    message = encode(event)
    return KafkaMessage(message.topic, partition, offset, message.key, message.headers, message.value)
