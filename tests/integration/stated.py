"""Stories told by streams, as events and as the messages that they arrive in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts import catalogue
from shared.contracts.cloudevents import encode
from shared.contracts.enrollment import Enrolled, LesionRegistered, Screened, Transferred
from shared.contracts.event import Event
from shared.contracts.study import AccrualClosed, SiteActivated
from shared.inbox.line import Received
from shared.kernel.fact import Fact
from shared.kernel.ids import new_event_id, new_participant_id

FIRST = datetime(2024, 3, 7, 9, 30, tzinfo=UTC)


def screened(site: str = "north") -> Screened:
    said = {
        "site_id": site,
        "screened_on": "2024-02-01",
        "sex": "female",
        "birth_year": 1951,
        "criteria": {"age": "met"},
    }
    return Screened.model_validate(said)


def enrolled(on: str = "2024-02-09") -> Enrolled:
    return Enrolled.model_validate({"enrolled_on": on})


def lesion(name: str = "L1") -> LesionRegistered:
    said = {"lesion_id": name, "kind": "metastasis", "body_site": "brain", "found_on": "2024-02-05"}
    return LesionRegistered.model_validate(said)


def transferred(to: str, on: str = "2024-05-01") -> Transferred:
    return Transferred.model_validate({"to_site": to, "on": on})


def site_activated(site: str = "north") -> SiteActivated:
    said = {"site_id": site, "name": "North", "country": "DE", "time_zone": "Europe/Berlin", "on": "2024-01-01"}
    return SiteActivated.model_validate(said)


def accrual_closed(on: str = "2025-01-31") -> AccrualClosed:
    return AccrualClosed.model_validate({"on": on})


@dataclass
class Telling:
    """A stream as it is told: each fact gets the next version."""

    study_id: str
    stream_id: str = field(default_factory=new_participant_id)
    service: str = "enrollment"
    site: str | None = "north"
    events: list[Event] = field(default_factory=list)

    def tell(self, *facts: Fact) -> Event:
        """The last of the events."""
        for fact in facts:
            self._tell(fact, {})
        return self.events[-1]

    def correct(self, event: Event, replacement: Fact | None) -> Event:
        stream = catalogue.stream(self.service, of_study=self.study_id == self.stream_id)
        said = stream.correction(event_id=event.event_id, reason_code="typing_error", replacement=replacement)
        return self._tell(said, {"corrects": {"type": event.type, "version": event.version}})

    def _tell(self, fact: Fact, meta: dict[str, Any]) -> Event:
        version = len(self.events) + 1
        at = FIRST + timedelta(minutes=version)
        self.events.append(
            Event(
                self.study_id, self.service, self.stream_id, version, new_event_id(), fact.type_name,
                fact.schema_version, self.site, fact.model_dump_json(), at, meta,
            )
        )  # fmt: skip
        return self.events[-1]

    @property
    def source(self) -> str:
        return f"/studies/{self.study_id}/{self.service}"


def participant(study_id: str, *facts: Fact) -> Telling:
    """Screened, enrolled, and what else is said."""
    telling = Telling(study_id)
    telling.tell(screened(), enrolled(), *facts)
    return telling


def corrected_participant(study_id: str) -> Telling:
    """Everything that a correction can do: restate, void, re-instate, void for good, move to another site."""
    telling = participant(study_id)
    one, two = telling.tell(lesion("L1")), telling.tell(lesion("L2"))
    telling.correct(one, lesion("L3"))
    telling.correct(one, None)
    telling.correct(two, None)
    telling.correct(one, lesion("L4"))
    move = telling.tell(transferred("south"))
    telling.correct(move, transferred("west"))
    telling.correct(telling.tell(transferred("east", "2024-03")), None)
    return telling


def study(study_id: str) -> Telling:
    telling = Telling(study_id, study_id, site=None)
    telling.tell(site_activated("north"), site_activated("south"), site_activated("west"), accrual_closed())
    return telling


def arrived(events: Sequence[Event], start: int = 0, partition: int = 0) -> list[Received]:
    """Each event as a message, at consecutive offsets of one partition."""
    return [as_received(event, start + place, partition) for place, event in enumerate(events)]


def as_received(event: Event, offset: int = 0, partition: int = 0) -> Received:
    message = encode(event)
    return Received(message.topic, partition, offset, message.key, message.headers, message.value)
