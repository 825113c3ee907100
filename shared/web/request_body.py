"""Parses and validates the body of a request: bounded work, which may run in a thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.kernel.errors import MAX_FAULTS, FormRejected
from shared.settings import Limits
from shared.validation.json_parsing import canonical_json, parse_json
from shared.validation.validation_messages import json_pointer, schema_faults
from shared.web.json_limits import refuse_many_items, refuse_many_values
from shared.web.schema_members import Schema, members_at

PydanticError = Mapping[str, Any]
_MISSING: PydanticError = {"type": "missing", "loc": (), "msg": ""}


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """A validated body and, if requested, its canonical JSON, which is equal for every spelling of the same value."""

    value: Any
    canonical_json: bytes | None


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reads the bodies of one route. `adapter` is None if the route accepts any JSON."""

    adapter: TypeAdapter[Any] | None
    members: Collection[str]
    limits: Limits
    schema: Callable[[], tuple[Schema, Schema]]
    """Returns the OpenAPI document and the schema of the body, for sentences that list the members of an object."""

    def read(self, body: bytes, *, with_canonical: bool) -> ParsedBody:
        """Parses and validate a body. Raises MalformedBody, RequestRejected."""
        refuse_many_values(body, self.limits)
        value = parse_json(body)
        refuse_many_items(value, self.limits, lambda path: json_pointer(path, value, self.members))
        content = self._validate(self.adapter, value) if self.adapter else value
        return ParsedBody(content, canonical_json(value) if with_canonical else None)

    def _validate(self, adapter: TypeAdapter[Any], value: Any) -> Any:
        errors = [_MISSING] if value is None else list[PydanticError]()
        validated = None if errors else _validate_facts(adapter, value, errors)
        if errors:
            located_errors = [{**error, "loc": ("body", *error["loc"])} for error in errors[: MAX_FAULTS + 1]]
            faults = schema_faults(located_errors, value, self.members, partial(members_at, *self.schema(), body=value))
            raise FormRejected(faults=faults)
        return validated


def _validate_facts(adapter: TypeAdapter[Any], value: Any, errors: list[PydanticError]) -> Any:
    """Validates a batch fact by fact until there are more errors than a response lists; other bodies as a whole.

    pydantic lists all errors and lets no other thread run meanwhile.
    """
    entries = _batch_entries(value)
    validated_facts: list[Any] = []
    for index, entry in enumerate(entries):
        validated_batch = _validate_once(adapter, _with_entries(value, [entry]), errors, index)
        validated_facts.append(_batch_entries(validated_batch)[0] if validated_batch is not None else None)
        if len(errors) > MAX_FAULTS:
            return None
    return (
        None
        if errors
        else _validate_once(adapter, _with_entries(value, validated_facts) if entries else value, errors, 0)
    )


def _validate_once(adapter: TypeAdapter[Any], value: Any, errors: list[PydanticError], index: int) -> Any:
    try:
        return adapter.validate_python(value, from_attributes=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[: MAX_FAULTS + 1]
        relocated = [_relocate(detail, isinstance(value, dict), index) for detail in details]
        errors.extend(detail for detail in relocated if detail)
        return None


def _batch_entries(value: Any) -> Sequence[Any]:
    """Returns the facts of a batch, before or after validation; an empty sequence for any other value."""
    facts = value.get("facts") if isinstance(value, dict) else getattr(value, "facts", value)
    return facts if isinstance(facts, list | tuple) else ()


def _with_entries(value: Any, entries: Sequence[Any]) -> Any:
    return {**value, "facts": entries} if isinstance(value, dict) else entries


def _relocate(error: PydanticError, is_object: bool, index: int) -> PydanticError | None:
    """Returns the error with its path in the whole batch; None for one of the batch, listed with the first fact."""
    path = list(error["loc"])
    fact_step = _fact_step(path, is_object)
    if fact_step < len(path) and path[fact_step] == 0:
        path[fact_step] = index
    elif index:
        return None
    return {**error, "loc": tuple(path)}


def _fact_step(path: Sequence[str | int], is_object: bool) -> int:
    """Returns which step of the path is the fact's index in the batch; 0 if the path leads to no fact."""
    if is_object:
        return path.index("facts") + 1 if "facts" in path else 0
    return 1 if path[:1] == ["list"] else 0  # the tag of a batch that is a list alone


def declared_members(annotation: Any, visited: set[Any]) -> Iterator[str]:
    """Returns every member that a type or the types of its members declare: the names that a response may repeat."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in visited:
        visited.add(annotation)
        for name, field in annotation.model_fields.items():
            yield name
            yield from declared_members(field.annotation, visited)
    for argument in get_args(annotation):
        yield from declared_members(argument, visited)
