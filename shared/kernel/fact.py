"""A fact is something a site states has happened: one class, one event type, one schema, one route.

A `Stream` declares the facts that one service records about one kind of subject. Its decorator is the only registration
that a new fact needs:

    @PARTICIPANT.fact("lesion.registered", on="found_on")
    class LesionRegistered(Fact): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, date
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, cast
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from shared.kernel.partial_date import PartialDate
from shared.kernel.presentation import Presentation
from shared.kernel.schema_name import NamedSchema, make_class
from shared.kernel.sealed_text import KEEPING_TEXTS, READING_STORED, SealedString, fields_containing

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
Role = Literal["administrator", "investigator", "site", "coordinator", "monitor", "auditor", "reader"]


class FactPart(NamedSchema):
    """Base of the parts of a fact: closed, frozen, and without the input in its error messages.

    A string below a member describes it in published schemas and on the reference pages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class Fact(FactPart):
    """Base of all facts. The decorator of the stream gives a subclass its type name, clinical date and roles."""

    type_name: ClassVar[str]
    heading: ClassVar[str] = ""
    schema_version: ClassVar[int] = 1
    date_field: ClassVar[str | None] = None
    stated_by_roles: ClassVar[frozenset[str]] = frozenset()
    upcasts: ClassVar[Mapping[int, Upcast]] = {}
    requires_check: ClassVar[bool] = False

    @property
    def happened_on(self) -> PartialDate | None:
        """The clinical date, which rules and analyses use. The time of recording is the event's `recorded_at`."""
        value = getattr(self, self.date_field) if self.date_field else None
        return PartialDate.from_day(value) if isinstance(value, date) else value

    @property
    def date_member(self) -> str:
        """The name of the member that gives `happened_on`; '' if there is none."""
        return self.date_field or ""

    @cached_property
    def clinical_dates_by_pointer(self) -> tuple[tuple[str, PartialDate], ...]:
        """The (JSON pointer, date) pairs of every clinical date in the fact."""
        return tuple(find_clinical_dates(self))

    @cached_property
    def first_year(self) -> int:
        """The earliest of the latest years that its dates can mean; 9999 for a fact without dates."""
        return min((when.latest.year for _, when in self.clinical_dates_by_pointer), default=MAXYEAR)


F = TypeVar("F", bound=Fact)
F_co = TypeVar("F_co", bound=Fact, covariant=True)


@dataclass(frozen=True, slots=True)
class StatedFact(Generic[F_co]):
    """A fact with the identity of the event that states it."""

    event_id: UUID
    fact: F_co


@dataclass(eq=False)
class Stream:
    """The facts of one service about one kind of subject, and their correction if they can be corrected."""

    service: str
    subject: Literal["study", "participant"]
    correctable: bool = True
    declared_facts: dict[str, type[Fact]] = field(default_factory=dict)

    def fact(
        self,
        type_name: str,
        *,
        on: str | None = None,
        by: str = "site coordinator",
        heading: str = "",
        version: int = 1,
        upcasts: Mapping[int, Upcast] | None = None,
        requires_check: bool = False,
    ) -> Callable[[type[F]], type[F]]:
        """Registers a class as a fact: its type name, the member with its clinical date, the roles that may state it.

        `heading` names the fact for people; without one, the first words of the docstring do. `upcasts[n]` turns the
        content of schema version n into that of n + 1. `requires_check`: a form first shows what the fact stops.
        """

        def register(cls: type[F]) -> type[F]:
            cls.type_name, cls.date_field, cls.stated_by_roles = type_name, on, frozenset(by.split())
            cls.schema_version, cls.upcasts = version, dict(upcasts or {})
            cls.heading, cls.requires_check = heading, requires_check
            if self.declared_facts.setdefault(type_name, cls) is not cls:
                raise TypeError(f"two facts are named {type_name!r}")
            return cls

        return register

    @cached_property
    def facts(self) -> dict[str, type[Fact]]:
        """The facts of the stream by type name, with the correction of the declared ones if they can be corrected."""
        if not (self.correctable and self.declared_facts):
            return dict(self.declared_facts)
        return {**self.declared_facts, Correction.type_name: correction_model(self.declared_facts.values())}

    def read(self, type_name: str, version: int, data: str | bytes) -> Fact:
        """Reads a stored or published fact in today's schema. No rules are evaluated.

        Members that a later writer added, in this schema version or a later one, are ignored. Raises KeyError for a
        type that the stream does not have, ValueError for content that does not fit the schema.
        """
        cls = self.facts[type_name]
        if version >= cls.schema_version:
            return cls.model_validate_json(data, extra="ignore", context=READING_STORED)
        return cls.model_validate(upcast(cls, version, json.loads(data)), extra="ignore", context=READING_STORED)

    def stated_fact(self, event_id: UUID, type_name: str, version: int, data: str | bytes) -> StatedFact[Fact]:
        return StatedFact(event_id, self.read(type_name, version, data))

    def correction(self, **fields: Any) -> Correction:
        """Builds a `record.corrected` of this stream from its members. The replacement is a fact or `{type, data}`."""
        if isinstance(fact := fields.get("replacement"), Fact):
            fields["replacement"] = as_typed(fact)
        return cast("Correction", self.facts[Correction.type_name].model_validate(fields))


def add_no_member(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the content unchanged: the upcast to a version that only has more members, all with defaults."""
    return content


def upcast(cls: type[Fact], version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Converts content of an earlier schema version to the present one. Return content of a later version unchanged.

    Raises ValueError for a version that never existed.
    """
    for step in range(version, cls.schema_version):
        if step not in cls.upcasts:
            raise ValueError(_unknown_version_message(cls))
        data = cls.upcasts[step](data)
    return data


def _unknown_version_message(cls: type[Fact]) -> str:
    return f"{cls.type_name} does not have this schema version here. Its present version is {cls.schema_version}."


class TypedFact(FactPart):
    """The whole new content of an event, with the type and schema version that it is written in."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)  # a version is always written

    type: str
    schema_version: int
    data: Fact


class Correction(Fact, schema_name="Corrected"):
    """Correction of an earlier event of the same record: restates, voids or reinstates it. The audit trail keeps it."""

    type_name = "record.corrected"
    stated_by_roles = frozenset({"site", "coordinator", "investigator"})

    event_id: UUID
    """Event that is corrected, by its id."""
    reason_code: Literal["typing_error", "source_corrected", "entered_in_error", "wrong_participant", "other"]
    """Reason for the correction. `source_corrected`: the source document was corrected."""
    reason: Annotated[SealedString | None, Presentation(lines=3)] = None
    """Reason in the site's words. Encrypted: only the site reads it."""
    replacement: TypedFact | None

    @property
    def replacement_fact(self) -> Fact | None:
        return self.replacement.data if self.replacement else None


def effective_fact(fact: Fact) -> Fact:
    """Returns the content of a fact: a correction's replacement, or the correction itself if it voids."""
    return fact.replacement_fact or fact if isinstance(fact, Correction) else fact


def as_typed(fact: Fact) -> dict[str, Any]:
    return {"type": fact.type_name, "schema_version": fact.schema_version, "data": fact}


def correction_model(facts: Iterable[type[Fact]]) -> type[Correction]:
    """Creates the class of `record.corrected` for exactly these facts: a union that `type` discriminates.

    Its content contains theirs, so a new schema version of one of them is a new version of the correction too.
    """
    classes_by_type = {fact.type_name: fact for fact in facts}
    union: Any = _union(_typed_fact_model(fact, _keeping_texts(fact)) for fact in classes_by_type.values())
    description = "Whole new content of the event, of the same type; null voids the event."
    model = make_class(
        "Corrected",
        Correction,
        __doc__=Correction.__doc__,
        replacement=(union | None, Field(description=description)),
    )
    model.type_name, model.stated_by_roles = Correction.type_name, Correction.stated_by_roles
    model.schema_version = 1 + sum(fact.schema_version - 1 for fact in classes_by_type.values())
    model.upcasts = dict.fromkeys(range(1, model.schema_version), partial(_upcast_replacement, classes_by_type))
    return model


def _upcast_replacement(classes_by_type: Mapping[str, type[Fact]], correction: dict[str, Any]) -> dict[str, Any]:
    replacement = correction.get("replacement")
    fact = classes_by_type.get(replacement.get("type", "")) if isinstance(replacement, dict) else None
    return {**correction, "replacement": _upcast_typed(fact, replacement)} if fact else correction


def _upcast_typed(fact: type[Fact], typed_fact: Any) -> Any:
    """Converts `{type, schema_version, data}` to the present version. Other values are returned unchanged."""
    version = typed_fact.get("schema_version") if isinstance(typed_fact, dict) else None
    if type(version) is not int or version == fact.schema_version or not isinstance(typed_fact.get("data"), dict):
        return typed_fact
    return {**typed_fact, "schema_version": fact.schema_version, "data": upcast(fact, version, typed_fact["data"])}


def fact_union(facts: Iterable[type[Fact]]) -> Any:
    """Returns the union type of `{type, schema_version, data}` over these facts, discriminated by `type`."""
    return _union(_typed_fact_model(fact, fact) for fact in facts)


def _union(models: Iterable[type[TypedFact]]) -> Any:
    return Annotated[Union[tuple(models)], Discriminator("type")]  # noqa: UP007 - made of a tuple at run time


def _keeping_texts(fact: type[Fact]) -> Any:
    """Returns the fact's type, with null for each sealed text that a correction keeps."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if info.context is not None or isinstance(value, Fact):
            return handler(value)
        return fact.model_validate(value, context=KEEPING_TEXTS)

    return Annotated[fact, WrapValidator(validate)]


def _typed_fact_model(fact: type[Fact], content: Any) -> type[TypedFact]:
    """Returns the class of `{type, schema_version, data}` of a fact. `content`: the type of `data`."""

    def upcast_value(value: Any, info: ValidationInfo) -> Any:
        version = value.get("schema_version") if isinstance(value, dict) else None
        if type(version) is int and version > fact.schema_version and info.context != READING_STORED:
            raise ValueError(_unknown_version_message(fact))  # it cannot be stated here
        return _upcast_typed(fact, value)

    fields: Any = {
        "type": (Literal[fact.type_name], ...),
        "schema_version": (Literal[fact.schema_version], fact.schema_version),
        "data": (content, ...),
    }
    validators: Any = {"upcast_to_present": model_validator(mode="before")(upcast_value)}
    return make_class(f"Restated{fact.__qualname__}", TypedFact, __validators__=validators, **fields)


def find_clinical_dates(value: object, pointer: str = "") -> Iterator[tuple[str, PartialDate]]:
    """Yields (JSON pointer, date) for every clinical date within a fact."""
    match value:
        case PartialDate():
            yield pointer, value
        case BaseModel():
            for name in fields_containing(type(value), PartialDate):
                yield from find_clinical_dates(getattr(value, name), f"{pointer}/{name}")
        case tuple():
            for index, item in enumerate(value):
                yield from find_clinical_dates(item, f"{pointer}/{index}")
