"""Free text about a person: stated in the clear, kept encrypted, shown to its own site only, published never.

A `SealedText` serialises to null, always: whoever dumps a fact for a message, a log or an answer cannot leak it. The
store takes the texts out with `texts` and puts them back, where the viewer may see them, with `revealed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, GetJsonSchemaHandler, PlainSerializer, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

LONGEST = 4000
STORED = {"stored": True}
"""Validation context under which a sealed text may be absent: it lies encrypted beside the event."""


@dataclass(frozen=True, slots=True)
class SealedText:
    text: str | None = field(repr=False)


def _seal(value: object, info: ValidationInfo) -> SealedText:
    if isinstance(value, SealedText):
        return value
    if value is None and info.context == STORED:
        return SealedText(None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("Give a text that is not blank.")
    if len(value) > LONGEST:
        raise ValueError(f"The text is too long. Give at most {LONGEST} characters.")
    return SealedText(value)


class _Schema:
    """Stated: a text. Published: null."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if handler.mode == "serialization":
            return {"type": "null", "description": "free text, sealed: not published"}
        return {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": r"\S", "x-sealed": True}


Sealed = Annotated[SealedText, BeforeValidator(_seal), PlainSerializer(lambda _: None, return_type=None), _Schema]


@cache
def members(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of its fields. Remembered: pydantic looks for them anew each time."""
    return tuple(model.model_fields)


@cache
def members_holding(model: type[BaseModel], kind: type) -> tuple[str, ...]:
    """The names of its fields in which there may be a value of that kind, however deep. Most of a fact holds none."""
    return tuple(name for name, field in model.model_fields.items() if _may_hold(field.annotation, kind, (model,)))


def _may_hold(annotation: Any, kind: type, within: tuple[type, ...]) -> bool:
    """A model without fields of its own is a base: its subclasses may have any."""
    if not isinstance(annotation, type) or get_args(annotation):
        return annotation is Any or any(_may_hold(each, kind, within) for each in get_args(annotation))
    if not issubclass(annotation, BaseModel):
        return issubclass(kind, annotation) or issubclass(annotation, kind)
    if annotation in within:
        return False
    fields = annotation.model_fields.values()
    return not fields or any(_may_hold(field.annotation, kind, (*within, annotation)) for field in fields)


def texts(value: object, pointer: str = "") -> Iterator[tuple[str, str]]:
    """(JSON pointer, text) of every sealed text within a fact, a collection or a member."""
    match value:
        case SealedText(text=str() as text):
            yield pointer, text
        case BaseModel():
            for name in members_holding(type(value), SealedText):
                yield from texts(getattr(value, name), f"{pointer}/{name}")
        case Mapping():
            for name, member in value.items():
                yield from texts(member, f"{pointer}/{name}")
        case tuple() | list():
            for place, member in enumerate(value):
                yield from texts(member, f"{pointer}/{place}")


def revealed(data: Any, opened: Mapping[str, str]) -> Any:
    """`data` (a dumped fact) with the texts put back at their pointers; `data` itself is left alone."""
    return _revealed(data, opened, "") if opened else data


def _revealed(value: Any, opened: Mapping[str, str], pointer: str) -> Any:
    if isinstance(value, dict):
        return {name: _revealed(member, opened, f"{pointer}/{name}") for name, member in value.items()}
    if isinstance(value, list):
        return [_revealed(member, opened, f"{pointer}/{place}") for place, member in enumerate(value)]
    return opened.get(pointer, value)
