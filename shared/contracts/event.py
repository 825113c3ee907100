"""Events: recorded facts with their identity, in the store, on Kafka and in the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from shared.contracts import catalogue
from shared.kernel.fact import Fact, StatedFact, Stream


class Row(Protocol):
    """A row of a query's result: values by the names of their columns."""

    def __getitem__(self, column: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Event:
    """A recorded fact. `data` is the fact as JSON, with null for sealed texts. `site_id` is the site that stated it;
    None for facts of the study.

    `version` counts from 1 within (study, service, stream). `meta` has what is not part of the fact: the recording
    member, the study's day then, the version of the study and the protocol that the decision was based on, and, for a
    correction, the type and version of the corrected event. `sealed` is the encrypted text of the sealed members.
    `known_on` is the day by which analytics takes the content as known; None elsewhere.
    """

    study_id: str
    service: str
    stream_id: str
    version: int
    event_id: UUID
    type: str
    schema_version: int
    site_id: str | None
    data: str
    recorded_at: datetime
    meta: Mapping[str, Any] = field(default_factory=dict)
    sealed: bytes | None = field(default=None, repr=False)
    known_on: date | None = None

    @classmethod
    def from_row(
        cls,
        row: Row,
        *,
        study_id: str,
        service: str,
        stream_id: str,
        meta: Mapping[str, Any] | None = None,
        sealed: bytes | None = None,
        known_on: date | None = None,
    ) -> Event:
        """Builds an event from the columns that every table of events has: version, event_id, type, schema_version,
        site_id, data and recorded_at. The other members are given, because tables and readers differ in them."""
        return cls(
            study_id=study_id,
            service=service,
            stream_id=stream_id,
            version=row["version"],
            event_id=row["event_id"],
            type=row["type"],
            schema_version=row["schema_version"],
            site_id=row["site_id"],
            data=row["data"],
            recorded_at=row["recorded_at"],
            meta=meta or {},
            sealed=sealed,
            known_on=known_on,
        )

    @property
    def recorded_on(self) -> date | None:
        """The study's day, by its clock, at the stating site when the event was recorded; for a fact of the study, the
        latest day at any site. None for an event of a release that did not keep it."""
        text = self.meta.get("recorded_on")
        return date.fromisoformat(text) if text else None

    @property
    def source(self) -> str:
        return f"/studies/{self.study_id}/{self.service}"

    @property
    def is_study_event(self) -> bool:
        return self.stream_id == self.study_id

    @property
    def stream(self) -> Stream:
        return catalogue.find_stream(self.service, is_study=self.is_study_event)

    @property
    def key(self) -> str:
        """The Kafka key. Events of one key keep their order."""
        return self.study_id if self.is_study_event else f"{self.study_id}/{self.stream_id}"

    @property
    def is_readable(self) -> bool:
        """Returns whether this release has the fact's type. A newer release may have written types that it lacks."""
        return self.type in self.stream.facts

    def stated_fact(self) -> StatedFact[Fact]:
        """Parses the fact. Raises KeyError or ValueError for a type or content that this release does not have."""
        return self.stream.stated_fact(self.event_id, self.type, self.schema_version, self.data)

    @property
    def content(self) -> dict[str, Any]:
        return dict(json.loads(self.data))


def stated_facts(events: Iterable[Event]) -> list[StatedFact[Fact]]:
    """Parses the facts of events. Raises KeyError or ValueError as `Event.stated_fact` does."""
    return [event.stated_fact() for event in events]
