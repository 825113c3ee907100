"""The declaration of a figure: which of its numbers count participants, and what readers may see of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

_WITHOUT_WHOLE_NUMBERS = (str, bool, float, date, datetime, NoneType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """The disclosure of a figure's result to readers.

    `counts`: the whole numbers that count participants, by their path in the result (`groups.enrolled`). `divisible`:
    readers may see the figure by groups of participants, where each group is large enough. `person_level`: the result
    has rows of single participants, so readers never see it. `other_numbers`: whole numbers that count no participants.
    """

    counts: frozenset[str]
    divisible: bool
    person_level: bool
    other_numbers: frozenset[str] = frozenset()


def require_declared_numbers(figure: type[BaseModel], disclosure: Disclosure, inherited: frozenset[str]) -> None:
    """Raises TypeError unless the declaration names every whole number of a result once, and nothing else.

    `inherited`: the numbers that every figure has. Of a person-level result no number has to be named, because readers
    get none of them.
    """
    declared = disclosure.counts | disclosure.other_numbers
    present = set(_whole_numbers(figure)) - inherited
    if twice := disclosure.counts & disclosure.other_numbers:
        raise TypeError(f"{figure.__name__} declares {_listed(twice)} as a count and as another number")
    if missing := declared - present:
        raise TypeError(f"{figure.__name__} has no whole number {_listed(missing)}")
    if not disclosure.person_level and (undeclared := present - declared):
        raise TypeError(f"{figure.__name__} does not declare whether {_listed(undeclared)} counts participants")


def _listed(paths: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(paths))


def _whole_numbers(model: type[BaseModel]) -> Iterator[str]:
    """Yields the path of each member that may hold a whole number, at any depth. Raises TypeError for computed members.

    A type that is not known counts as a whole number.
    """
    if model.model_computed_fields:
        raise TypeError(f"{model.__name__} has computed members, which cannot be declared")
    for name, field in model.model_fields.items():
        for path in _paths_within(field.annotation):
            yield f"{name}.{path}" if path else name


def _paths_within(annotation: Any) -> Iterator[str]:
    """Yields the paths of whole numbers within a type; the empty path for the type itself."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in _WITHOUT_WHOLE_NUMBERS:
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _whole_numbers(annotation)
    elif origin is Annotated:
        yield from _paths_within(parts[0])
    elif origin is Literal:
        if not all(isinstance(value, str | bool) for value in parts):
            yield ""
    elif origin is not None:
        yield from dict.fromkeys(path for part in parts if part is not Ellipsis for path in _paths_within(part))
    else:
        yield ""
