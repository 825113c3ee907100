"""The answer of the changes of a study, as OpenAPI describes it, and its table."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.analytics.cuts.changes import Changes

CSV_HEADER = [
    "part",
    "change",
    "position",
    "participant_id",
    "site_id",
    "type",
    "event_id",
    "figure",
    "name",
    "before",
    "after",
]


class _ChangePart(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ComparedState(_ChangePart):
    """A state of the study: its position, and the data cut-off of its headline numbers."""

    position: int
    recorded_at: datetime | None
    cut_date: Annotated[date | None, Field(serialization_alias="cut")]


class FactCounts(BaseModel):
    added: int
    corrected: int
    voided: int


class ChangedFact(_ChangePart):
    """A fact with another content than at the earlier position. `participant_id` is null for a fact of the study."""

    change: Literal["added", "corrected", "voided"]
    position: Annotated[int, Field(description="position of the change")]
    service: str
    type: str
    participant_id: str | None
    site_id: Annotated[str | None, Field(description="the site that stated it")]
    event_id: UUID


class ChangedNumber(_ChangePart):
    """A headline number before and after; null where the figure does not have it."""

    figure: str
    name: str
    words: str
    before: str | None
    after: str | None


class ChangesAnswer(_ChangePart):
    """The changes of a study since an earlier position, of the participants that the caller may see."""

    study_id: str
    since: str
    before: ComparedState
    after: ComparedState
    counts: FactCounts
    facts: list[ChangedFact]
    participants_in: Annotated[list[str], Field(description="screened and in analyses now, and not then")]
    participants_out: Annotated[list[str], Field(description="in analyses then, and in none now")]
    numbers: list[ChangedNumber]

    @classmethod
    def from_changes(cls, changes: Changes) -> ChangesAnswer:
        counts = FactCounts(
            added=changes.count_facts("added"),
            corrected=changes.count_facts("corrected"),
            voided=changes.count_facts("voided"),
        )
        return cls(
            study_id=changes.study_id,
            since=changes.since,
            before=ComparedState.model_validate(changes.before),
            after=ComparedState.model_validate(changes.after),
            counts=counts,
            facts=[ChangedFact.model_validate(fact) for fact in changes.facts],
            participants_in=list(changes.participants_in),
            participants_out=list(changes.participants_out),
            numbers=[ChangedNumber.model_validate(number) for number in changes.numbers],
        )


def changes_table(changes: Changes) -> tuple[list[str], list[list[str]]]:
    """Returns the header and the rows of the `.csv` file; cells that do not apply to a row are empty."""
    facts: list[dict[str, str | None]] = [
        {
            "part": "fact",
            "change": fact.change,
            "position": str(fact.position),
            "participant_id": fact.participant_id,
            "site_id": fact.site_id,
            "type": fact.type,
            "event_id": str(fact.event_id),
        }
        for fact in changes.facts
    ]
    participants: list[dict[str, str | None]] = [
        {"part": "participant", "change": change, "participant_id": participant_id}
        for change, ids in (("in", changes.participants_in), ("out", changes.participants_out))
        for participant_id in ids
    ]
    numbers: list[dict[str, str | None]] = [
        {
            "part": "number",
            "figure": number.figure,
            "name": number.name,
            "before": number.before,
            "after": number.after,
        }
        for number in changes.numbers
    ]
    return CSV_HEADER, [[row.get(name) or "" for name in CSV_HEADER] for row in (*facts, *participants, *numbers)]
