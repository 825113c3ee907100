"""Query parameters that select an earlier state of a study's record."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from services.analytics.snapshot.as_of import AsOf

_OFFSET_WITHOUT_PLUS = re.compile(r"^(.+[0-9]) ([0-9]{2}:[0-9]{2})$")


def _require_rfc3339(value: object) -> object:
    """Accepts RFC 3339 text only, and no bare numbers.

    An address turns a plus sign that is not written %2B into a blank. Before an offset, a blank can only have been a
    plus sign.
    """
    if isinstance(value, datetime):
        return value
    text = value if isinstance(value, str) else ""
    if "T" not in text.upper():
        raise ValueError(
            "Give a time with its offset (RFC 3339), for example 2025-01-31T12:00:00Z; in an address write + as %2B."
        )
    return _OFFSET_WITHOUT_PLUS.sub(r"\1+\2", text)


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Give a time in the years 1 to 9999, UTC.") from None


TimestampParameter = Annotated[AwareDatetime, BeforeValidator(_require_rfc3339), AfterValidator(_to_utc)]
AtParameter = Annotated[str | None, Field(max_length=80, description="the record at this position, or at `cut:<name>`")]
AsOfParameter = Annotated[TimestampParameter | None, Field(description="the record as of this time (RFC 3339)")]
EpochParameter = Annotated[
    str | None, Field(max_length=36, description="epoch of `at`; 410 if positions have been counted anew since")
]


class AsOfParameters(BaseModel):
    """Parameters that select an earlier state of the record. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    at: AtParameter = None
    as_of: AsOfParameter = None
    epoch: EpochParameter = None

    def to_as_of(self) -> AsOf:
        return AsOf(at=self.at, recorded_until=self.as_of, epoch=self.epoch)


AsOfQuery = Annotated[AsOfParameters, Query()]
