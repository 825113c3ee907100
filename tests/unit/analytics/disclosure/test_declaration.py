"""A figure declares what readers may see of it, and every whole number, or it cannot be defined."""

from __future__ import annotations

from datetime import date
from enum import IntEnum
from types import new_class
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, computed_field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.figures.figure import Figure
from services.analytics.figures.person_level import PersonLevelFigure
from services.analytics.figures.registry import FIGURES


class CountingPart(BaseModel):
    participants: int


class GroupOfParts(BaseModel):
    name: str
    parts: tuple[CountingPart, ...]


class Category(IntEnum):
    FIRST = 1


class ComputingPart(BaseModel):
    name: str

    @computed_field
    def length(self) -> int:
        return len(self.name)


def disclosure(*counts: str, others: tuple[str, ...] = (), person_level: bool = False) -> Disclosure:
    return Disclosure(
        counts=frozenset(counts), divisible=False, person_level=person_level, other_numbers=frozenset(others)
    )


def define_figure(annotation: Any, declared: object, base: Any = Figure) -> type[Figure]:
    """Defines a figure with one member of that type and that declaration."""
    members = {"DISCLOSURE": declared, "__annotations__": {"member": annotation}, "__module__": __name__}
    figure: type[Figure] = new_class("ExampleFigure", (base,), exec_body=lambda namespace: namespace.update(members))
    return figure


def test_figure_without_a_declaration_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="Undeclared does not declare its disclosure to readers"):
        new_class("Undeclared", (Figure,))
    with pytest.raises(TypeError, match="does not declare its disclosure"):
        define_figure(str, {"counts": [], "divisible": False, "person_level": False})


def test_figure_has_pages_exactly_if_it_is_declared_as_person_level() -> None:
    for base, person_level in ((Figure, True), (PersonLevelFigure, False)):
        with pytest.raises(TypeError, match="person-level exactly if it derives from PersonLevelFigure"):
            define_figure(str, disclosure(person_level=person_level), base)
    assert [name for name, figure in FIGURES.items() if figure.has_pages()] == ["treatments", "swimmer"]


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (int, "member"),
        (int | None, "member"),
        (float | int, "member"),
        (tuple[int, ...], "member"),
        (list[tuple[str, int]], "member"),
        (dict[str, list[int | None]], "member"),
        (Annotated[tuple[int, ...], "described"], "member"),
        (CountingPart, "member.participants"),
        (CountingPart | None, "member.participants"),
        (tuple[CountingPart, ...], "member.participants"),
        (dict[str, GroupOfParts], "member.parts.participants"),
        (Literal[1, 2], "member"),
        (Category, "member"),
        (Any, "member"),
        (dict, "member"),
        (object, "member"),
    ],
)
def test_every_whole_number_is_declared_as_a_count_or_as_another_number(annotation: Any, path: str) -> None:
    with pytest.raises(TypeError, match=f"does not declare whether {path} counts participants"):
        define_figure(annotation, disclosure())
    for declared in (disclosure(path), disclosure(others=(path,))):
        assert "member" in define_figure(annotation, declared).model_fields
    person_level = define_figure(annotation, disclosure(person_level=True), PersonLevelFigure)
    assert "member" in person_level.model_fields


def test_declaration_names_each_number_once_and_nothing_else() -> None:
    for declared in (disclosure("members"), disclosure("member", "left_out"), disclosure("member", others=("other",))):
        with pytest.raises(TypeError, match="has no whole number"):
            define_figure(int, declared)
    with pytest.raises(TypeError, match="as a count and as another number"):
        define_figure(int, disclosure("member", others=("member",)))
    with pytest.raises(TypeError, match="computed members"):
        define_figure(ComputingPart, disclosure())


@pytest.mark.parametrize("annotation", [str, float | None, dict[str, tuple[date, bool]], Literal["all", "none"]])
def test_other_members_need_no_declaration(annotation: Any) -> None:
    assert "member" in define_figure(annotation, disclosure()).model_fields


@pytest.mark.parametrize("name", FIGURES)
def test_figures_name_their_counts_as_the_answer_has_them(name: str) -> None:
    figure = FIGURES[name]
    for path in figure.DISCLOSURE.counts | figure.DISCLOSURE.other_numbers:
        assert path.partition(".")[0] in figure.model_fields
    assert figure.DISCLOSURE.divisible is (name in ("accrual", "overall-survival", "progression-free-survival"))
    assert figure.DISCLOSURE.person_level is (name in ("treatments", "swimmer"))
