"""Strict JSON: no duplicate members, no NaN, no control characters, bounded depth and digits."""

from __future__ import annotations

import json
from typing import Any

from shared.kernel.errors import MalformedBody
from shared.kernel.text import is_showable

MAX_DEPTH = 40
TOO_DEEP = "The body has a text with control characters, or is nested too deeply. Leave both out."


def parse_json(body: bytes) -> Any:
    """Returns the value of a JSON text. Raises MalformedBody, also for duplicate members and unstorable text."""
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(
            text, object_pairs_hook=_reject_duplicate_keys, parse_int=_parse_int, parse_constant=_reject_constant
        )
    except (ValueError, RecursionError):
        raise MalformedBody from None
    if not _is_storable(value, MAX_DEPTH):
        raise MalformedBody(TOO_DEEP)
    return value


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a member is named twice")
    return value


def _parse_int(digits: str) -> int:
    """Reads a number in a step of its own, after which other threads may run: thousands of long ones take time."""
    return int(digits)


def _reject_constant(_: str) -> float:
    raise ValueError("not a number of JSON")


def _is_storable(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return (value.isascii() and value.isprintable()) or is_showable(value)
    if isinstance(value, list):
        return depth > 0 and all(_is_storable(member, depth - 1) for member in value)
    if isinstance(value, dict):
        return depth > 0 and all(
            _is_storable(name, 0) and _is_storable(member, depth - 1) for name, member in value.items()
        )
    return True


def canonical_json(value: Any) -> bytes:
    """Returns the one form of a JSON value: members sorted, no white space, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
