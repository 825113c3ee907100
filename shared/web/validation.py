"""From the bytes of a body to what a route declares: bounded work, which may be done in a thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.kernel.refusal import MOST_FAULTS, Unacceptable
from shared.settings import Limits
from shared.web.bounds import refuse_many_items, refuse_many_values
from shared.web.parsing import canonical, parsed
from shared.web.problems import FORM_TITLE, pointer, schema_faults
from shared.web.schema_members import Schema, members_at

Error = Mapping[str, Any]
_MISSING: Error = {"type": "missing", "loc": (), "msg": ""}


@dataclass(frozen=True, slots=True)
class Content:
    """What was made of a body, and its one form for every way of writing the same JSON, where that is wanted."""

    made: Any
    canonical: bytes | None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the bodies of one route. `adapter` None: the route takes any JSON."""

    adapter: TypeAdapter[Any] | None
    members: Collection[str]
    limits: Limits
    schema: Callable[[], tuple[Schema, Schema]]
    """The OpenAPI document, and the schema of the body, for sentences that list what an object may have."""

    def read(self, body: bytes, *, with_canonical: bool) -> Content:
        """Raises Malformed, Unacceptable."""
        refuse_many_values(body, self.limits)
        value = parsed(body)
        refuse_many_items(value, self.limits, lambda path: pointer(path, value, self.members))
        made = self._made(self.adapter, value) if self.adapter else value
        return Content(made, canonical(value) if with_canonical else None)

    def _made(self, adapter: TypeAdapter[Any], value: Any) -> Any:
        errors = [_MISSING] if value is None else list[Error]()
        made = None if errors else _validated(adapter, value, errors)
        if errors:
            located = [{**error, "loc": ("body", *error["loc"])} for error in errors[: MOST_FAULTS + 1]]
            faults = schema_faults(located, value, self.members, partial(members_at, *self.schema(), body=value))
            raise Unacceptable(FORM_TITLE, code="schema", faults=faults)
        return made


def _validated(adapter: TypeAdapter[Any], value: Any, errors: list[Error]) -> Any:
    """Validate a batch fact by fact, until there are more errors than an answer lists; everything else at once.

    pydantic makes a list of every error there is, and lets no other thread run meanwhile.
    """
    entries = _entries(value)
    made: list[Any] = []
    for place, entry in enumerate(entries):
        one = _attempted(adapter, _with(value, [entry]), errors, place)
        made.append(_entries(one)[0] if one is not None else None)
        if len(errors) > MOST_FAULTS:
            return None
    return None if errors else _attempted(adapter, _with(value, made) if entries else value, errors, 0)


def _attempted(adapter: TypeAdapter[Any], value: Any, errors: list[Error], place: int) -> Any:
    try:
        return adapter.validate_python(value, from_attributes=True)
    except ValidationError as wrong:
        listed = wrong.errors(include_url=False, include_input=False)
        moved = [_moved(each, isinstance(value, dict), place) for each in listed[: MOST_FAULTS + 1]]
        errors.extend(each for each in moved if each)
        return None


def _entries(value: Any) -> Sequence[Any]:
    """The facts of a batch, as JSON or as the route declares it; none for anything else."""
    facts = value.get("facts") if isinstance(value, dict) else getattr(value, "facts", value)
    return facts if isinstance(facts, list | tuple) else ()


def _with(value: Any, entries: Sequence[Any]) -> Any:
    return {**value, "facts": entries} if isinstance(value, dict) else entries


def _moved(error: Error, is_object: bool, place: int) -> Error | None:
    """The error as it is of the whole batch; None for one that is not the fact's, and was listed with the first."""
    path = list(error["loc"])
    at = _place_of_fact(path, is_object)
    if at < len(path) and path[at] == 0:
        path[at] = place
    elif place:
        return None
    return {**error, "loc": tuple(path)}


def _place_of_fact(path: Sequence[str | int], is_object: bool) -> int:
    """The step of the path that is the fact's place in the batch; 0 where the path leads to no fact."""
    if is_object:
        return path.index("facts") + 1 if "facts" in path else 0
    return 1 if path[:1] == ["list"] else 0  # the tag of a batch that is a list alone


def declared_members(annotation: Any, seen: set[Any]) -> Iterator[str]:
    """Every member that a type declares, and those that its members declare: the only names that an answer repeats."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        for name, field in annotation.model_fields.items():
            yield name
            yield from declared_members(field.annotation, seen)
    for argument in get_args(annotation):
        yield from declared_members(argument, seen)
