"""The timeline of a participant as one model, from which the `.json` answer, the picture and the page are made."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, TypedDict
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, WithJsonSchema

_RecordedAt = Annotated[
    datetime,
    PlainSerializer(lambda time: time.isoformat(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time that is written with its offset, `+00:00`, as in the answers of figures."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Lane(_Answer):
    lane: str
    title: str


class TimelineTarget(_Answer):
    """A target as prescribed; doses in Gy."""

    target_id: str
    label: str
    lesion_ids: tuple[str, ...]
    delivery: str
    fractions: int
    dose_per_fraction_gy: float
    total_dose_gy: float
    prescription_isodose_percent: int | None
    boost_of: str | None


class TimelineDelivery(_Answer):
    """The delivered dose of a target, in Gy."""

    target_id: str
    fractions: int
    dose_gy: float


class TimelineAttribution(_Answer):
    """A possible cause of a finding, and how likely it is."""

    to: str
    level: str


class TimelineFinding(_Answer):
    """A finding of a toxicity assessment. `name` is null for a term that the dictionary does not have."""

    term: str
    name: str | None
    grade: int | None
    attribution: tuple[TimelineAttribution, ...]
    onset_on: str | None


class TimelineLesion(_Answer):
    """The status of a lesion at a contact."""

    lesion_id: str
    status: str
    basis: str


class FactMembers(TypedDict, total=False):
    """The members of an entry that repeat the content of its fact. Each type of fact has some of them or none."""

    course_id: str
    index: bool
    targets: tuple[TimelineTarget, ...]
    delivered: tuple[TimelineDelivery, ...]
    line_id: str
    agents: tuple[str, ...]
    serious_event_id: str
    term: str
    grade: int | None
    findings: tuple[TimelineFinding, ...]
    visit: int | None
    response: str | None
    lesions: tuple[TimelineLesion, ...]
    kind: str
    lesion_id: str | None
    cause: str


def _allow_absent_and_further_members(schema: dict[str, Any]) -> None:
    """Removes defaults from the schema, because a member that is absent has no value."""
    schema["additionalProperties"] = True
    for member in schema["properties"].values():
        member.pop("default", None)


class TimelineEntry(_Answer):
    """One fact on the timeline. `on` is its date as recorded, and `day` the day that figures use for it.

    `from` and `until` are the first and last day of something that lasts, and otherwise the earliest and latest day
    that a partial date can mean. An entry has those members of its fact that the fact's type has. More may follow."""

    model_config = ConfigDict(json_schema_extra=_allow_absent_and_further_members)

    event_id: UUID
    service: str
    type: str
    version: int
    recorded_at: _RecordedAt
    on: str | None
    day: date | None
    from_: Annotated[date | None, Field(serialization_alias="from")]
    until: date | None
    lasts: bool
    ongoing: bool
    imputed: bool
    lane: str
    title: str
    label: str
    detail: tuple[str, ...]
    course_id: str = ""
    index: bool = False
    targets: tuple[TimelineTarget, ...] = ()
    delivered: tuple[TimelineDelivery, ...] = ()
    line_id: str = ""
    agents: tuple[str, ...] = ()
    serious_event_id: str = ""
    term: str = ""
    grade: int | None = None
    findings: tuple[TimelineFinding, ...] = ()
    visit: int | None = None
    response: str | None = None
    lesions: tuple[TimelineLesion, ...] = ()
    kind: str = ""
    lesion_id: str | None = None
    cause: str = ""
    corrected: bool


class TimelineAnswer(_Answer):
    """All current facts of one participant at a position, in clinical order."""

    position: int
    recorded_at: _RecordedAt | None
    study_id: str
    participant_id: str
    site_id: str
    status: str
    today: date
    ends_on: date
    imputed_dates: int
    lanes: tuple[Lane, ...]
    entries: tuple[TimelineEntry, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the `.json` answer. Members that the type of a fact does not have are left out of its entry."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
