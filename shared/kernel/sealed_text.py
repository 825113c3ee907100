"""Free text about a person. It is stored encrypted, shown to the participant's site only, and never published.

A `SealedText` always serializes to null, so a fact in a message, a log or a response cannot disclose it. The event
store extracts the texts with `extract_texts`, and inserts them again with `insert_texts` for readers who may see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, GetJsonSchemaHandler, PlainSerializer, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

MAX_TEXT_CHARACTERS = 4000
READING_STORED = {"stored": True}
"""The validation context of stored content. In it a sealed text may be null: the text is encrypted beside the event."""
KEEPING_TEXTS = {"keeps_texts": True}
"""The validation context of the content of a correction. In it a sealed text may be null, as the published fact has it:
who may not read the recorded text keeps it."""


@dataclass(frozen=True, slots=True)
class SealedText:
    """A text that does not appear in dumps and representations. None: the text is stored, and was not decrypted."""

    text: str | None = field(repr=False)


def _seal(value: object, info: ValidationInfo) -> SealedText:
    if isinstance(value, SealedText):
        return value
    if value is None and info.context in (READING_STORED, KEEPING_TEXTS):
        return SealedText(None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("Give a text that is not blank.")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"The text is too long. Give at most {MAX_TEXT_CHARACTERS} characters.")
    return SealedText(value)


class _SealedJsonSchema:
    """Adds the JSON schema: a text in requests, null in what is published."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if handler.mode == "serialization":
            return {"type": "null", "description": "free text, sealed: not published"}
        return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARACTERS, "pattern": r"\S", "x-sealed": True}


SealedString = Annotated[
    SealedText, BeforeValidator(_seal), PlainSerializer(lambda _: None, return_type=None), _SealedJsonSchema
]


@cache
def field_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Returns the names of a model's fields. Cached, because pydantic collects them on each access."""
    return tuple(model.model_fields)


@cache
def fields_containing(model: type[BaseModel], kind: type) -> tuple[str, ...]:
    """Returns the names of the model's fields that can contain a value of the class `kind`, at any depth.

    Walks over a fact use it to skip the other fields, which are most of them.
    """
    return tuple(name for name, field in model.model_fields.items() if _may_contain(field.annotation, kind, (model,)))


def _may_contain(annotation: Any, kind: type, enclosing: tuple[type, ...]) -> bool:
    """Returns whether a value of the annotation can contain one of `kind`.

    True for a model without fields: it is a base class, and its subclasses can have any fields.
    """
    if not isinstance(annotation, type) or get_args(annotation):
        return annotation is Any or any(_may_contain(argument, kind, enclosing) for argument in get_args(annotation))
    if not issubclass(annotation, BaseModel):
        return issubclass(kind, annotation) or issubclass(annotation, kind)
    if annotation in enclosing:
        return False
    fields = annotation.model_fields.values()
    return not fields or any(_may_contain(field.annotation, kind, (*enclosing, annotation)) for field in fields)


def extract_texts(value: object, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yields (JSON pointer, text) of every sealed text within a fact, or within a value of it."""
    match value:
        case SealedText(text=str() as text):
            yield pointer, text
        case BaseModel():
            for name in fields_containing(type(value), SealedText):
                yield from extract_texts(getattr(value, name), f"{pointer}/{name}")
        case Mapping():
            for name, item in value.items():
                yield from extract_texts(item, f"{pointer}/{name}")
        case tuple() | list():
            for index, item in enumerate(value):
                yield from extract_texts(item, f"{pointer}/{index}")


def find_unread_texts(value: object, pointer: str = "") -> Iterator[str]:
    """Yields the JSON pointer of every sealed text within a fact that is stated and was not given."""
    match value:
        case SealedText(text=None):
            yield pointer
        case BaseModel():
            for name in fields_containing(type(value), SealedText):
                yield from find_unread_texts(getattr(value, name), f"{pointer}/{name}")
        case Mapping():
            for name, item in value.items():
                yield from find_unread_texts(item, f"{pointer}/{name}")
        case tuple() | list():
            for index, item in enumerate(value):
                yield from find_unread_texts(item, f"{pointer}/{index}")


def insert_texts(data: Any, texts_by_pointer: Mapping[str, str]) -> Any:
    """Returns a copy of `data`, a fact as JSON, with the texts at their pointers."""
    return _insert_texts(data, texts_by_pointer, "") if texts_by_pointer else data


def _insert_texts(value: Any, texts_by_pointer: Mapping[str, str], pointer: str) -> Any:
    if isinstance(value, dict):
        return {name: _insert_texts(item, texts_by_pointer, f"{pointer}/{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [_insert_texts(member, texts_by_pointer, f"{pointer}/{index}") for index, member in enumerate(value)]
    return texts_by_pointer.get(pointer, value)
