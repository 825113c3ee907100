"""Events as services record them: of one fact, and of the stream of one subject with its corrections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.kernel.fact import Fact
from shared.kernel.ids import new_event_id, new_participant_id

FIRST_RECORDED_AT = datetime(2024, 3, 7, 9, 30, tzinfo=UTC)
STUDY_ID = "study"


def service_of(fact: Fact) -> str:
    """Returns the service that states facts of this class. Raises StopIteration for a correction: several do."""
    return next(stream.service for stream in catalogue.STREAMS if fact.type_name in stream.declared_facts)


def make_event(
    fact: Fact,
    version: int = 1,
    *,
    stream_id: str,
    study_id: str = STUDY_ID,
    service: str = "",
    site_id: str | None = "rome",
    event_id: UUID | None = None,
    recorded_at: datetime = FIRST_RECORDED_AT,
    meta: Mapping[str, Any] | None = None,
    sealed: bytes | None = None,
) -> Event:
    """Returns the event of a fact, by default a fact that Rome states and the service that has such facts records."""
    return Event(
        study_id=study_id,
        service=service or service_of(fact),
        stream_id=stream_id,
        version=version,
        event_id=event_id or new_event_id(),
        type=fact.type_name,
        schema_version=fact.schema_version,
        site_id=None if stream_id == study_id else site_id,
        data=fact.model_dump_json(),
        recorded_at=recorded_at,
        meta=meta or {},
        sealed=sealed,
    )


def enrollment_events(study_id: str, stream_id: str, facts: Iterable[Fact], first_version: int = 1) -> list[Event]:
    """Returns facts and corrections as consecutive events of one stream of enrollment."""
    return [
        make_event(fact, version, study_id=study_id, stream_id=stream_id, service="enrollment")
        for version, fact in enumerate(facts, first_version)
    ]


@dataclass
class EventStream:
    """Records the events of one subject in one service: each has the next version, and is a minute later."""

    study_id: str = STUDY_ID
    stream_id: str = field(default_factory=new_participant_id)
    service: str = "enrollment"
    site_id: str | None = "rome"
    events: list[Event] = field(default_factory=list)

    def record(self, *facts: Fact, recorded_at: datetime | None = None) -> Event:
        """Returns the last of the events."""
        for fact in facts:
            self._append(fact, {}, recorded_at)
        return self.events[-1]

    def correct(self, event: Event, replacement: Fact | None, *, recorded_at: datetime | None = None) -> Event:
        """Restates an event of the stream, or re-instates it after a void; without a replacement, voids it."""
        stream = catalogue.find_stream(self.service, is_study=self.study_id == self.stream_id)
        correction = stream.correction(event_id=event.event_id, reason_code="typing_error", replacement=replacement)
        return self._append(correction, {"corrects": {"type": event.type, "version": event.version}}, recorded_at)

    def void(self, event: Event, *, recorded_at: datetime | None = None) -> Event:
        return self.correct(event, None, recorded_at=recorded_at)

    def _append(self, fact: Fact, meta: Mapping[str, Any], recorded_at: datetime | None) -> Event:
        version = len(self.events) + 1
        event = make_event(
            fact,
            version,
            study_id=self.study_id,
            stream_id=self.stream_id,
            service=self.service,
            site_id=self.site_id,
            recorded_at=recorded_at or FIRST_RECORDED_AT + timedelta(minutes=version),
            meta=meta,
        )
        self.events.append(event)
        return event

    @property
    def source(self) -> str:
        """The source of the stream's messages, a part of their CloudEvents header."""
        return f"/studies/{self.study_id}/{self.service}"
