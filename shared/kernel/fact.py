"""A fact is something a site states has happened: one class, one event type, one schema, one route.

A `Stream` is where facts of one kind of subject are kept by one service; its decorator is the one registration that a
new fact needs:

    @PARTICIPANT.fact("lesion.registered", on="found_on")
    class LesionRegistered(Fact): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Discriminator, Field, ValidationInfo, create_model, model_validator

from shared.kernel.dates import PartialDate
from shared.kernel.ids import Code
from shared.kernel.schema_name import NamedSchema
from shared.kernel.sealed import STORED, Sealed, members_holding

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
Role = Literal["administrator", "investigator", "site", "coordinator", "monitor", "auditor", "reader"]


class Member(NamedSchema):
    """A part of a fact: closed, frozen, and silent about its input when it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Fact(Member):
    """Base of every event's content. A subclass is named, dated and given to roles by its stream's decorator."""

    type_name: ClassVar[str]
    schema_version: ClassVar[int] = 1
    date_field: ClassVar[str | None] = None
    by: ClassVar[frozenset[str]] = frozenset()
    upcasts: ClassVar[Mapping[int, Upcast]] = {}

    @property
    def happened_on(self) -> PartialDate | None:
        """The clinical date: what rules and analyses go by. When we were told is the event's `recorded_at`."""
        value = getattr(self, self.date_field) if self.date_field else None
        return value if value is None or isinstance(value, PartialDate) else PartialDate.of(value)

    @property
    def dated_by(self) -> str:
        """The member that tells `happened_on`."""
        return self.date_field or ""

    @cached_property
    def dates(self) -> tuple[tuple[str, PartialDate], ...]:
        """(JSON pointer, date) of every clinical date in it."""
        return tuple(clinical_dates(self))

    @cached_property
    def first_year(self) -> int:
        """The earliest year that any of its dates must lie in; the last there is, for a fact without dates."""
        return min((when.latest.year for _, when in self.dates), default=MAXYEAR)


F = TypeVar("F", bound=Fact)
F_co = TypeVar("F_co", bound=Fact, covariant=True)


@dataclass(frozen=True, slots=True)
class Stated(Generic[F_co]):
    """A fact with the identity of the event that states it."""

    event_id: UUID
    fact: F_co


@dataclass(eq=False)
class Stream:
    """What one service keeps about one kind of subject: the facts, and, where they can be corrected, how."""

    service: str
    subject: Literal["study", "participant"]
    correctable: bool = True
    declared: dict[str, type[Fact]] = field(default_factory=dict)

    def fact(
        self, type_name: str, *, on: str | None = None, by: str = "site coordinator",
        version: int = 1, upcasts: Mapping[int, Upcast] | None = None,
    ) -> Callable[[type[F]], type[F]]:  # fmt: skip
        """Name a fact for the wire; say which member is its clinical date and which roles may state it.

        `upcasts[n]` turns the content of schema version n into that of n + 1.
        """

        def register(cls: type[F]) -> type[F]:
            cls.type_name, cls.date_field, cls.by = type_name, on, frozenset(by.split())
            cls.schema_version, cls.upcasts = version, dict(upcasts or {})
            if self.declared.setdefault(type_name, cls) is not cls:
                raise TypeError(f"two facts are named {type_name!r}")
            return cls

        return register

    @cached_property
    def facts(self) -> dict[str, type[Fact]]:
        """Every fact that the stream takes, by type; with the correction that is made of the others."""
        if not (self.correctable and self.declared):
            return dict(self.declared)
        return {**self.declared, Corrected.type_name: correction_of(self.declared.values())}

    def read(self, type_name: str, version: int, data: str | bytes) -> Fact:
        """A stored or published fact, brought to today's schema. Nothing is judged by rules.

        What a later writer said, in this version or a later one, is read as far as it goes: members that it added are
        passed over. Raises KeyError for a type that the stream does not have, ValueError for content that is not of
        the schema.
        """
        cls = self.facts[type_name]
        if version >= cls.schema_version:
            return cls.model_validate_json(data, extra="ignore", context=STORED)
        return cls.model_validate(upcast(cls, version, json.loads(data)), extra="ignore", context=STORED)

    def stated(self, event_id: UUID, type_name: str, version: int, data: str | bytes) -> Stated[Fact]:
        return Stated(event_id, self.read(type_name, version, data))

    def correction(self, **members: Any) -> Corrected:
        """A `record.corrected` of this stream, from its members (replacement as `{type, data}` or a fact)."""
        if isinstance(fact := members.get("replacement"), Fact):
            members["replacement"] = restated(fact)
        return cast("Corrected", self.facts[Corrected.type_name].model_validate(members))


def upcast(cls: type[Fact], version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Content of an earlier schema version, brought up step by step; that of a later one as it is.

    Raises ValueError for a version that never was.
    """
    for step in range(version, cls.schema_version):
        if step not in cls.upcasts:
            raise ValueError(_unknown_version(cls))
        data = cls.upcasts[step](data)
    return data


def _unknown_version(cls: type[Fact]) -> str:
    return f"{cls.type_name} does not have this schema version here. Its present version is {cls.schema_version}."


class Restated(Member):
    """The whole new content of an event, with the type and schema version that it is written in."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)  # a version is always written

    type: str
    schema_version: int
    data: Fact


class Corrected(Fact):
    """Restates, voids or re-instates an earlier event of the same record. The earlier event stays in the stream."""

    type_name = "record.corrected"
    by = frozenset({"site", "coordinator", "investigator"})

    event_id: UUID
    reason_code: Literal["typing_error", "source_corrected", "entered_in_error", "wrong_participant", "other"]
    reason: Sealed | None = None
    replacement: Restated | None

    @property
    def restated(self) -> Fact | None:
        return self.replacement.data if self.replacement else None


def content(fact: Fact) -> Fact:
    """What a fact states: for a correction its replacement, or itself where it voids."""
    return fact.restated or fact if isinstance(fact, Corrected) else fact


def restated(fact: Fact) -> dict[str, Any]:
    return {"type": fact.type_name, "schema_version": fact.schema_version, "data": fact}


def correction_of(facts: Iterable[type[Fact]]) -> type[Corrected]:
    """`record.corrected` over exactly these facts: a union told apart by `type`, old schema versions brought up.

    It says what the facts say, so with each new version of one of them it has a new version too.
    """
    kinds = {fact.type_name: fact for fact in facts}
    union: Any = one_of(kinds.values())
    description = "the event's whole new content, of the same type; null voids the event"
    made = create_model(
        "Corrected",
        __base__=Corrected,
        __doc__=Corrected.__doc__,
        replacement=(union | None, Field(description=description)),
    )
    made.type_name, made.by = Corrected.type_name, Corrected.by
    made.schema_version = 1 + sum(fact.schema_version - 1 for fact in kinds.values())
    made.upcasts = dict.fromkeys(range(1, made.schema_version), partial(_with_replacement_brought_up, kinds))
    return made


def _with_replacement_brought_up(kinds: Mapping[str, type[Fact]], said: dict[str, Any]) -> dict[str, Any]:
    replacement = said.get("replacement")
    fact = kinds.get(replacement.get("type", "")) if isinstance(replacement, dict) else None
    return {**said, "replacement": _brought_up(fact, replacement)} if fact else said


def _brought_up(fact: type[Fact], said: Any) -> Any:
    """`{type, schema_version, data}` in today's version; as it is where that is not what it is."""
    version = said.get("schema_version") if isinstance(said, dict) else None
    if type(version) is not int or version == fact.schema_version or not isinstance(said.get("data"), dict):
        return said
    return {**said, "schema_version": fact.schema_version, "data": upcast(fact, version, said["data"])}


def one_of(facts: Iterable[type[Fact]]) -> Any:
    """The type of `{type, schema_version, data}` over these facts, told apart by `type`."""
    members = tuple(_restated_of(fact) for fact in facts)
    return Annotated[Union[members], Discriminator("type")]  # noqa: UP007 - made of a tuple at run time


def _restated_of(fact: type[Fact]) -> type[Restated]:
    def brought_up(value: Any, info: ValidationInfo) -> Any:
        said = value.get("schema_version") if isinstance(value, dict) else None
        if type(said) is int and said > fact.schema_version and info.context != STORED:
            raise ValueError(_unknown_version(fact))  # it cannot be stated here
        return _brought_up(fact, value)

    members: Any = {
        "type": (Literal[fact.type_name], ...),
        "schema_version": (Literal[fact.schema_version], fact.schema_version),
        "data": (fact, ...),
    }
    validators: Any = {"brought_up": model_validator(mode="before")(brought_up)}
    return create_model(f"Restated{fact.__qualname__}", __base__=Restated, __validators__=validators, **members)


def clinical_dates(value: object, pointer: str = "") -> Iterator[tuple[str, PartialDate]]:
    """(JSON pointer, date) of every clinical date within a fact."""
    match value:
        case PartialDate():
            yield pointer, value
        case BaseModel():
            for name in members_holding(type(value), PartialDate):
                yield from clinical_dates(getattr(value, name), f"{pointer}/{name}")
        case tuple():
            for place, member in enumerate(value):
                yield from clinical_dates(member, f"{pointer}/{place}")


__all__ = [
    "Code", "Corrected", "F", "F_co", "Fact", "Member", "Restated", "Role", "Stated", "Stream",
    "clinical_dates", "content", "correction_of", "one_of", "restated", "upcast",
]  # fmt: skip
