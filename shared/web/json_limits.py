"""Limits on the number of values in a JSON body, counted before and after it is parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from shared.kernel.errors import Fault, MalformedBody, RequestRejected, TooManyItems
from shared.settings import Limits
from shared.validation.json_parsing import MAX_DEPTH, TOO_DEEP

PointerBuilder = Callable[[list[str | int]], str]
"""Returns the JSON pointer for a path, without names that the sender chose."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{,]', re.DOTALL)
"""A string, or a character after which a value follows. Possessive, so that no body makes the search backtrack."""
_QUOTATION_MARK = ord('"')


class _ItemLimitExceeded(Exception):
    """A list or object at `path` has too many members."""

    def __init__(self, message: str, path: list[str | int]) -> None:
        super().__init__(message)
        self.path = path


def refuse_many_values(body: bytes, limits: Limits) -> None:
    """Raises RequestRejected for a body with too many values, at less cost than parsing it.

    An empty list or object counts twice. Raises MalformedBody for a body that is nested too deeply.
    """
    max_values = limits.max_body_values
    if _max_value_count(body) > max_values and _has_more_values(body, max_values):
        if body.count(b"[") + body.count(b"{") > body.count(b"]") + body.count(b"}") + MAX_DEPTH:
            raise MalformedBody(TOO_DEEP)
        raise _too_many_items(f"The body has too many values. Send at most {max_values:,} values in one request.", "")


def _max_value_count(body: bytes) -> int:
    """Returns an upper bound: each value but the first follows one of these characters, which strings may contain."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") + 1


def _has_more_values(body: bytes, max_values: int) -> bool:
    """Counts the tokens that a value follows. JSON has at most two strings for each value: its name and the value."""
    tokens = islice(_TOKEN.finditer(body), 3 * max_values + 3)
    return sum(body[token.start()] != _QUOTATION_MARK for token in tokens) >= max_values


def refuse_many_items(value: Any, limits: Limits, pointer_of: PointerBuilder) -> None:
    """Raises RequestRejected for a list or object with too many members, and for a fact with too many values."""
    try:
        for path, fact in _facts_with_paths(value, limits.max_list_items):
            if _count_values(fact, limits.max_list_items, path) > limits.max_fact_values:
                raise _too_many_items(
                    f"The fact has too many values. Give at most {limits.max_fact_values:,}.", pointer_of(path)
                )
    except _ItemLimitExceeded as error:
        raise _too_many_items(str(error), pointer_of(error.path)) from None


def _facts_with_paths(value: Any, max_items: int) -> Iterator[tuple[list[str | int], Any]]:
    """Returns each fact of a batch with its path; the value itself if it is no batch."""
    entries = value.get("facts") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        yield [], value
        return
    base_path: list[str | int] = ["facts"] if isinstance(value, dict) else []
    if isinstance(value, dict):
        yield [], {**value, "facts": None}
    _refuse_long_list(entries, max_items, base_path)
    for index, entry in enumerate(entries):
        yield [*base_path, index], entry


def _count_values(value: Any, max_items: int, path: list[str | int]) -> int:
    """Returns the number of values in it, itself included."""
    if not isinstance(value, list | dict):
        return 1
    _refuse_long_list(value, max_items, path)
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return 1 + sum(
        _count_values(member, max_items, [*path, step]) if isinstance(member, list | dict) else 1
        for step, member in members
    )


def _refuse_long_list(value: list[Any] | dict[str, Any], max_items: int, path: list[str | int]) -> None:
    if len(value) > max_items:
        message = (
            "The list is too long. Give at most {:,} entries."
            if isinstance(value, list)
            else "The object has too many members. Give at most {:,}."
        )
        raise _ItemLimitExceeded(message.format(max_items), path)


def _too_many_items(message: str, pointer: str) -> RequestRejected:
    return TooManyItems(message, faults=[Fault(TooManyItems.code, message, pointer)])
