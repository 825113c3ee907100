"""Faults and sentences for the errors that pydantic finds in a request; pydantic's own sentences are never sent.

The sentences contain values of our schemas (bounds, allowed values, patterns), never values that were sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from shared.kernel.errors import Fault
from shared.kernel.patterns import find_sentence
from shared.validation.name_suggestions import unknown_name_message

DeclaredMembers = Callable[..., Collection[str]]
"""Returns the members that the object at `path=` may have; `unknown=` is the name that it should not have."""
FALLBACK = "This value does not have the required form. The service's reference page (docs) describes it."
_WHOLE_NUMBER = "Give a whole number."
_NUMBER = "Give a number."
_TRUE_OR_FALSE = "Give true or false."
_OBJECT = "Give an object."
_LIST = "Give a list."
_UUID = "Give a UUID, such as 018f3c5e-7a10-7cc1-b4a5-9a1d6b0c2f11."
_DAY = "Give a day as YYYY-MM-DD."
_TIME = "Give a time with its offset from UTC, such as 2025-01-31T12:00:00+01:00."
_SENTENCES: Mapping[str, str] = {
    "missing": "This is missing, and it is required.",
    "extra_forbidden": "There is no such member.",
    "literal_error": "Give {expected}.",
    "enum": "Give {expected}.",
    "union_tag_not_found": "The member `type` is missing. It says which fact this is.",
    "union_tag_invalid": "There is no such type here. The types are: {expected_tags}.",
    "string_type": "Give a text.",
    "string_sub_type": "Give a text.",
    "string_unicode": "Give a text that is encoded as UTF-8.",
    "string_too_short": "The text is too short. Give at least {min_length} characters.",
    "string_too_long": "The text is too long. Give at most {max_length} characters.",
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": "The number has too many digits. Give a smaller one.",
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": "Give a number greater than {gt}.",
    "greater_than_equal": "The number is too small. Give at least {ge}.",
    "less_than": "Give a number less than {lt}.",
    "less_than_equal": "The number is too large. Give at most {le}.",
    "multiple_of": "Give a multiple of {multiple_of}.",
    "bool_type": _TRUE_OR_FALSE,
    "bool_parsing": _TRUE_OR_FALSE,
    "none_required": "Give null.",
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": "There are too few entries. Give at least {min_length}.",
    "too_long": "There are too many entries. Give at most {max_length}.",
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "uuid_version": _UUID,
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": _TIME,
}


def validation_message(error: Mapping[str, Any]) -> str:
    """Returns the sentence for an error: that of the pattern, that of the error's kind, or the validator's own."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return find_sentence(str(context.get("pattern"))) or FALLBACK
    schema_values = {name: _without_fraction(value) for name, value in context.items() if name in _SCHEMA_CONTEXT}
    try:
        return _SENTENCES.get(kind, FALLBACK).format_map(schema_values)
    except KeyError:  # an error without its context
        return FALLBACK


_SCHEMA_CONTEXT = frozenset(
    {"expected", "expected_tags", "min_length", "max_length", "gt", "ge", "lt", "le", "multiple_of"}
)  # values of the schema, among everything that an error's context contains


def _without_fraction(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def schema_faults(
    errors: Sequence[Mapping[str, Any]],
    body: Any,
    members: Collection[str],
    declared_members: DeclaredMembers | None = None,
) -> list[Fault]:
    """Returns the faults of a request for pydantic's errors.

    `members`: names that messages may repeat. `declared_members`: the members that the object at a path may have.
    """
    return [_schema_fault(error, body, members, declared_members) for error in _drop_consequential(errors)]


def _drop_consequential(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leaves out the error that a list is too short, if entries of the list have errors themselves."""
    return [
        error
        for error in errors
        if error["type"] != "too_short" or not any(_is_inside(other["loc"], error["loc"]) for other in errors)
    ]


def _is_inside(inner: Sequence[Any], outer: Sequence[Any]) -> bool:
    return len(inner) > len(outer) and tuple(inner[: len(outer)]) == tuple(outer)


def _schema_fault(
    error: Mapping[str, Any], body: Any, members: Collection[str], declared_members: DeclaredMembers | None
) -> Fault:
    kind = error["type"]
    message = validation_message(error)
    source, *path = error["loc"]
    if source != "body":
        name = path[0] if path else source
        return Fault(f"schema-{_code(kind)}", f"{name if source == 'query' else f'{source} {name}'}: {message}", "")
    if (
        kind == "extra_forbidden"
        and declared_members
        and (names := declared_members(path=path[:-1], unknown=str(path[-1])))
    ):
        message = unknown_name_message("member", str(path[-1]), names)
    return Fault(f"schema-{_code(kind)}", message, json_pointer(path, body, members))


def _code(kind: str) -> str:
    return kind.replace("_", "-")


def json_pointer(path: Iterable[str | int], body: Any, members: Collection[str]) -> str:
    """Returns the JSON pointer into the body for pydantic's path, which contains tags of unions besides members.

    The pointer ends at the object with an undeclared member: a name that the client chose is not repeated.
    """
    steps, value, path = [""], body, list(path)
    for index, step in enumerate(path):
        if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        elif isinstance(value, dict) and isinstance(step, str) and (step in value or index == len(path) - 1):
            if step not in members:
                break
            value = value.get(step)
        else:
            continue
        steps.append(str(step))
    return "/".join(steps)
