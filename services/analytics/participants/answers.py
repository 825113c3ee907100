"""The answer that lists participants, as OpenAPI describes it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from shared.kernel.schema_name import NamedSchema


class ParticipantListRow(NamedSchema, schema_name="ParticipantRow"):
    """A participant in the list. `site_id` is the site that follows the participant now."""

    model_config = ConfigDict(from_attributes=True)

    participant_id: str
    site_id: str
    status: str
    open_queries: int


class ParticipantList(BaseModel):
    """A page of participants, sorted by number. `next` is the value of `after` for the next page; null on the last."""

    rows: list[ParticipantListRow]
    next: str | None
    position: int
    recorded_at: datetime | None
