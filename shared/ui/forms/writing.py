"""Writes a fact's JSON into the fields of its form: the inverse of reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.ui.forms.entries import NULL_TEXT, Pair
from shared.ui.forms.fields import Choice, Group, Leaf, Mapped, Member, OneOf, Rows


def write_fields(
    group: Group, body: dict[str, Any], name: str = "", *, with_kept_texts: bool = False
) -> Iterator[Pair]:
    """Yields (name, value) of every member that the body states.

    `with_kept_texts`: a sealed text that must be stated, and that the reader does not see, is written as null.
    """
    for member in group.members:
        if member.name in body:
            member_name = f"{name}.{member.name}" if name else member.name
            yield from write_member(member, body[member.name], member_name, with_kept_texts=with_kept_texts)


def write_member(member: Member, value: Any, name: str, *, with_kept_texts: bool = False) -> Iterator[Pair]:
    """Yields (name, value) of the fields of one member."""
    match member.node:
        case Leaf(kind="sealed") if value is None:
            if member.is_required and with_kept_texts:
                yield name, NULL_TEXT
        case Leaf() | Choice():
            if value is not None or member.states_null:
                yield name, write_value(value)
        case Group() as group if isinstance(value, dict):
            yield from write_fields(group, value, name, with_kept_texts=with_kept_texts)
        case Rows(item=item) if isinstance(value, list):
            for number, item_value in enumerate(value):
                item_name = name if isinstance(item.node, Choice) else f"{name}.{number}"
                yield from write_member(item, item_value, item_name, with_kept_texts=with_kept_texts)
        case Mapped(item=item) if isinstance(value, dict):
            for key, item_value in value.items():
                yield from write_member(item, item_value, f"{name}.{key}", with_kept_texts=with_kept_texts)
        case OneOf(options=options):
            option = _option_for(options, value)
            if option:
                yield from write_member(option, value, name, with_kept_texts=with_kept_texts)


def write_value(value: Any) -> str:
    """Returns a single JSON value as the text of a field."""
    if value is None:
        return NULL_TEXT
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _option_for(options: tuple[Member, ...], value: Any) -> Member | None:
    """Returns the shape that the value has."""
    for option in options:
        match option.node:
            case Group(members=members) if isinstance(value, dict) and value.keys() <= {m.name for m in members}:
                return option
            case Rows() if isinstance(value, list):
                return option
            case Leaf() | Choice() if isinstance(value, str | int | float):
                return option
    return None
