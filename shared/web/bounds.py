"""How much a JSON body may hold: counted before it is parsed, and measured before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from shared.kernel.refusal import Fault, Malformed, Unacceptable
from shared.settings import Limits
from shared.web.parsing import DEEPEST, TOO_DEEP

Point = Callable[[list[str | int]], str]
"""A JSON pointer along a path, which repeats no name that the sender made up."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{,]', re.DOTALL)
"""A text, or what a value follows. It never goes back, so that no text makes the search long."""
_QUOTATION_MARK = ord('"')


class _TooMany(Exception):
    """A list or object with too many members; `path` leads to it."""

    def __init__(self, message: str, path: list[str | int]) -> None:
        super().__init__(message)
        self.path = path


def refuse_many_values(body: bytes, limits: Limits) -> None:
    """Raises Unacceptable for a body with more values than may be parsed. The count costs less than parsing.

    A list or an object without members counts twice.
    """
    most = limits.max_body_values
    if _values_at_most(body) > most and _has_more_values(body, most):
        if body.count(b"[") + body.count(b"{") > body.count(b"]") + body.count(b"}") + DEEPEST:
            raise Malformed(TOO_DEEP)
        raise _too_many(f"The body has too many values. Send at most {most:,} values in one request.", "")


def _values_at_most(body: bytes) -> int:
    """A bound that is quick to find: each value but the first follows one of these, which texts can hold as well."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") + 1


def _has_more_values(body: bytes, most: int) -> bool:
    """JSON has at most two texts for each value: its name, and the value itself."""
    tokens = islice(_TOKEN.finditer(body), 3 * most + 3)
    return sum(body[token.start()] != _QUOTATION_MARK for token in tokens) >= most


def refuse_many_items(value: Any, limits: Limits, point: Point) -> None:
    """Raises Unacceptable for a list or an object with too many members, and for a fact with too many values."""
    try:
        for path, fact in _facts(value, limits.max_list_items):
            if _size(fact, limits.max_list_items, path) > limits.max_fact_values:
                raise _too_many(f"The fact has too many values. Give at most {limits.max_fact_values:,}.", point(path))
    except _TooMany as wrong:
        raise _too_many(str(wrong), point(wrong.path)) from None


def _facts(value: Any, most: int) -> Iterator[tuple[list[str | int], Any]]:
    """Each fact of a batch, with the path to it; the value itself where it is no batch."""
    entries = value.get("facts") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        yield [], value
        return
    base: list[str | int] = ["facts"] if isinstance(value, dict) else []
    if isinstance(value, dict):
        yield [], {**value, "facts": None}
    _refuse_long(entries, most, base)
    for place, entry in enumerate(entries):
        yield [*base, place], entry


def _size(value: Any, most: int, path: list[str | int]) -> int:
    """Count the values in it, itself included."""
    if not isinstance(value, list | dict):
        return 1
    _refuse_long(value, most, path)
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return 1 + sum(
        _size(member, most, [*path, step]) if isinstance(member, list | dict) else 1 for step, member in members
    )


def _refuse_long(value: list[Any] | dict[str, Any], most: int, path: list[str | int]) -> None:
    if len(value) > most:
        kind = (
            "The list is too long. Give at most {:,} entries."
            if isinstance(value, list)
            else "The object has too many members. Give at most {:,}."
        )
        raise _TooMany(kind.format(most), path)


def _too_many(message: str, pointer: str) -> Unacceptable:
    return Unacceptable(message, code="too-many-items", faults=[Fault("too-many-items", message, pointer)])
