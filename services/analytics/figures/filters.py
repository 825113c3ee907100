"""The filters and the division of a figure, as an answer and a caption name them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.analytics.snapshot.selection import LaneOrder, LateFrom, LesionEvent, Origin, ToxicityWindow


class FigureFilters(BaseModel):
    """The filters and the division of a figure: those that the request asked for, and the limits of the caller."""

    model_config = ConfigDict(frozen=True)

    site: str | None = Field(default=None, description="enrolling sites, separated by commas")
    followed_at: str | None = Field(default=None, description="sites that follow the participants now")
    subset: str = "all"
    by: str | None = Field(default=None, description="what divides the figure into groups")
    origin: Origin | None = Field(default=None, description="time 0 that the request asked for")
    landmarks: str | None = Field(default=None, description="months that the request asked for, separated by commas")
    event: LesionEvent | None = Field(default=None, description="event of local control that the request asked for")
    window: ToxicityWindow | None = Field(default=None, description="toxicity that the request asked for")
    late_after: int | None = Field(default=None, description="days to late toxicity that the request asked for")
    late_from: LateFrom | None = Field(default=None, description="day of the course that the request asked for")
    emergent: bool | None = Field(default=None, description="whether the request asked for emergent toxicity alone")
    sort: LaneOrder | None = Field(default=None, description="order of lanes that the request asked for")
    literature: bool | None = Field(default=None, description="true if the request asked for marks of publications")

    def active(self) -> dict[str, str]:
        """Returns the filters that are set, in the order of their names; the default subset is not one."""
        values = sorted((name, value) for name, value in self if value is not None)
        return {name: _filter_text(value) for name, value in values if (name, value) != ("subset", "all")}

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the members of the `.json` answer: those that are set."""
        return self.model_dump(mode="json", exclude_none=True)


def _filter_text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
