"""A figure declares for every whole number whether it counts participants, or it cannot be defined."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, computed_field, create_model
from pydantic.fields import FieldInfo

from services.analytics.figures.accrual import Accrual
from services.analytics.figures.disclosure import (
    NotParticipants,
    OtherNumber,
    ParticipantCount,
    Stratum,
    WithheldWith,
    withheld_members,
)
from services.analytics.figures.figure import Figure
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.snapshot.selection import Selection
from tests.unit.analytics.support import ENROLLED, SCREENED, TODAY, snapshot_of


class UnmarkedPart(BaseModel):
    participants: int


class CountingPart(BaseModel):
    participants: ParticipantCount


class UnmarkedGroup(Stratum):
    participants: int


class CountingGroup(Stratum):
    participants: ParticipantCount
    steps: Annotated[tuple[UnmarkedPart, ...], WithheldWith(("participants",), replacement=[])]


class GroupOfGroups(Stratum):
    groups: tuple[CountingGroup, ...]


class GroupOfParts(Stratum):
    parts: tuple[CountingPart, ...]


class Category(IntEnum):
    FIRST = 1


class ComputingPart(BaseModel):
    name: str

    @computed_field
    def length(self) -> int:
        return len(self.name)


class ParticipantLevelFigure(Figure):
    PARTICIPANT_LEVEL: ClassVar[bool] = True


def define_figure(annotation: Any, base: Any = Figure) -> Mapping[str, FieldInfo]:
    """Define a figure with one member of that type; return the members that it has then."""
    members: Mapping[str, FieldInfo] = create_model(
        "ExampleFigure", __base__=base, member=(annotation, ...)
    ).model_fields
    return members


@pytest.mark.parametrize("base", [Figure, ParticipantLevelFigure])
@pytest.mark.parametrize(
    "annotation",
    [
        int,
        int | None,
        float | int,
        tuple[int, ...],
        list[tuple[str, int]],
        dict[str, int],
        dict[str, list[int | None]],
        Annotated[tuple[int, ...], "described"],
        UnmarkedPart,
        UnmarkedPart | None,
        tuple[UnmarkedPart, ...],
        dict[str, UnmarkedPart],
        tuple[UnmarkedGroup, ...],
        ComputingPart,
        Literal[1, 2],
        Category,
        Any,
        dict,
        object,
    ],
)
def test_figure_with_an_unmarked_whole_number_cannot_be_defined(annotation: Any, base: Any) -> None:
    with pytest.raises(TypeError, match=r"whole number|computed"):
        define_figure(annotation, base)


@pytest.mark.parametrize(
    "annotation",
    [
        ParticipantCount | None,
        tuple[ParticipantCount, ...],
        dict[str, ParticipantCount],
        CountingPart,
        tuple[CountingPart, ...],
        CountingGroup,
        tuple[CountingGroup, CountingGroup],
        dict[str, CountingGroup],
        tuple[GroupOfGroups, ...],
        tuple[GroupOfParts, ...],
    ],
)
def test_count_that_would_not_be_withheld_is_refused_unless_readers_never_get_the_figure(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"not withheld|without a mark"):
        define_figure(annotation)


@pytest.mark.parametrize("annotation", [tuple[CountingPart, ...], dict[str, ParticipantCount]])
def test_participant_level_figure_may_have_counts_anywhere(annotation: Any) -> None:
    assert "member" in define_figure(annotation, ParticipantLevelFigure)


@pytest.mark.parametrize(
    "annotation",
    [
        ParticipantCount,
        OtherNumber,
        OtherNumber | None,
        dict[str, OtherNumber],
        tuple[CountingGroup, ...],
        Annotated[UnmarkedPart | None, NotParticipants()],
        Annotated[dict[str, int], WithheldWith(("left_out",))],
        float | None,
        dict[str, tuple[date, bool]],
        Literal["all", "none"],
    ],
)
def test_figure_with_marked_numbers_can_be_defined(annotation: Any) -> None:
    assert "member" in define_figure(annotation)


def test_value_is_withheld_only_with_a_count_of_the_same_model() -> None:
    for name in ("enroled", "imputed_dates"):
        with pytest.raises(TypeError, match=f"withheld with {name}: not a count"):
            define_figure(Annotated[float, WithheldWith((name,))])


def test_small_cells_of_a_site_are_suppressed() -> None:
    counted = ParticipantFlow.compute(snapshot_of({"p": [SCREENED, ENROLLED]}), Selection(TODAY))
    assert withheld_members(counted, 5, is_whole_study=True) == {}
    of_site = withheld_members(counted, 5, is_whole_study=False)
    assert {"enrolled", "screened", "stereotactic_percent", "stereotactic_interval"} <= of_site.keys()
    assert set(of_site.values()) == {None}
    assert not of_site.keys() & {"died", "imputed_dates", "left_out"}, (
        "zero is shown, and a number of dates is no count"
    )
    divided = Accrual.compute(snapshot_of({"p": [SCREENED, ENROLLED]}), Selection(TODAY, by="site"))
    assert withheld_members(divided, 5, is_whole_study=True) == {
        "groups": [{"name": "rome", "enrolled": None, "curve": []}]
    }
