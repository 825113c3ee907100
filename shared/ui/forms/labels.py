"""Labels of fields by their names: what a page shows that has no form of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.kernel.presentation import name_in_words
from shared.ui.forms.entries import Entries
from shared.ui.forms.fields import Group, Mapped, Member, OneOf, Rows

_SEPARATOR = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "
_CONTENT = "replacement.data."
"""The beginning of the names of a correction's fields."""


def label_of(fields: Group | None, name: str) -> str:
    """Returns the labels along a field's name, such as "Targets › 1 › Fractions".

    A name that the form does not have, or whose form is not known, is written in words.
    """
    steps = name.removeprefix(_CONTENT).split(".")
    return _SEPARATOR.join(_labels(fields.members if fields else (), steps))


def _labels(members: Sequence[Member], steps: Sequence[str]) -> Iterator[str]:
    if not steps:
        return
    first, *rest = steps
    if Entries.is_number(first):
        yield str(int(first) + 1)
        yield from _labels(members, rest)
        return
    member = next((member for member in members if member.name == first), None)
    yield member.presentation.label if member else name_in_words(first)
    if member and isinstance(member.node, Mapped):
        yield from [".".join(rest)] if rest else []
    else:
        yield from _labels(_members_within(member) if member else (), rest)


def _members_within(member: Member) -> Sequence[Member]:
    match member.node:
        case Group(members=members):
            return members
        case Rows(item=item):
            return _members_within(item)
        case OneOf(options=options):
            return [inner for option in options for inner in (option, *_members_within(option))]
    return ()
