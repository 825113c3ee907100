"""Names and values that a browser sends, as a tree by the steps of the names."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from shared.kernel.errors import Fault, MalformedBody, TooManyItems

MAX_FIELDS = 20_000
_MAX_STEPS = 12
NULL_TEXT = "null"
"""The text that states null where a member must be stated and may be null."""
_NUMBER = re.compile(r"[0-9]{1,6}")
_OWN_NAMES = frozenset(
    {
        "form:csrf",
        "form:key",
        "form:version",
        "form:after",
        "form:member",
        "form:asked",
        "form:preset",
        "form:checked",
    }
)
"""The form's own names that are sent once."""
_NUMBERED_VERSION = re.compile(r"[0-9]{0,9}")
Pair = tuple[str, str]


@dataclass(slots=True)
class Entries:
    """The values of one name, in order, and those of the names that continue it, by their next step."""

    values: list[str] = field(default_factory=list)
    children: dict[str, Entries] = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        entries = self
        for step in name.split(".", _MAX_STEPS):
            entries = entries.children.setdefault(step, Entries())
        entries.values.append(value)

    def last_value(self, step: str) -> str:
        """Returns the last value at a step of the name, without blanks around it; an empty text without one."""
        values = self.within(step).values
        return values[-1].strip() if values else ""

    @staticmethod
    def is_number(step: str) -> bool:
        """Returns whether a step of a name is the number of a list's row."""
        return _NUMBER.fullmatch(step) is not None

    def within(self, step: str) -> Entries:
        """Returns the entries at a step of the name; empty ones if there are none."""
        return self.children.get(step, Entries())

    def numbers(self) -> list[int]:
        """Returns the numbers of a list's rows, in order."""
        return sorted(int(step) for step in self.children if self.is_number(step))

    def names(self, name: str = "") -> Iterator[Pair]:
        """Yields (name, value) of everything within."""
        for value in self.values:
            yield name, value
        for step, child in self.children.items():
            yield from child.names(f"{name}.{step}" if name else step)

    def is_filled(self, name: str, offered: frozenset[str]) -> bool:
        """Returns whether a value within is not blank, besides those that the form filled itself."""
        if name not in offered and any(value.strip() for value in self.values):
            return True
        return any(child.is_filled(f"{name}.{step}", offered) for step, child in self.children.items())


EMPTY = Entries()


def build_entries(pairs: Iterable[Pair]) -> Entries:
    entries = Entries()
    for name, value in pairs:
        entries.add(name, value)
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedForm:
    """A form that was sent, or one that is shown for the first time.

    `pairs`: the names and values of fields. `box_lists`: names of lists that the form asks for by
    boxes. `offered`: names that the form
    filled itself. `button`: name and value of the button; "check" if there is none. `member`: the person who opened
    the form. `asked`: the questions of the protocol that the form showed, as `questions` names them. `preset`: the
    choice that fills several fields at once. `checked_digest`: that of the answers that a page has shown with what they
    stop, or with the equal fact that stands.
    """

    pairs: tuple[Pair, ...] = ()
    csrf: str = ""
    key: str = ""
    version: str = ""
    after: str = ""
    box_lists: frozenset[str] = frozenset()
    offered: frozenset[str] = frozenset()
    button: Pair = ("check", "")
    member: str = ""
    asked: str = ""
    preset: str = ""
    checked_digest: str = ""
    is_first: bool = False

    def own_pairs(self) -> list[Pair]:
        """Returns the form's own names and values, without the button."""
        single = [
            ("form:csrf", self.csrf),
            ("form:key", self.key),
            ("form:version", self.version),
            ("form:after", self.after),
            ("form:member", self.member),
            ("form:asked", self.asked),
            ("form:preset", self.preset),
            ("form:checked", self.checked_digest),
        ]
        box_lists = [("form:shown", name) for name in sorted(self.box_lists)]
        offered = [("form:offered", name) for name in sorted(self.offered)]
        return [*(pair for pair in single if pair[1]), *box_lists, *offered]

    @property
    def entries(self) -> Entries:
        return build_entries(self.pairs)

    def refuse_long_lists(self, max_rows: int) -> None:
        """Raises TooManyItems for a list with more rows than any fact may have: each is a part of the page."""
        pending = [self.entries]
        while pending:
            entries = pending.pop()
            if len(entries.children) > max_rows:
                message = f"A list of the form has too many rows. Give at most {max_rows}."
                raise TooManyItems(message, faults=[Fault(TooManyItems.code, message)])
            pending += entries.children.values()

    def with_row(self, name: str) -> PostedForm:
        """Returns the form with one more row of the list."""
        numbers = _entries_at(self.entries, name).numbers()
        return replace(self, pairs=(*self.pairs, (f"{name}.{max(numbers, default=-1) + 1}", "")))

    def without_row(self, name: str) -> PostedForm:
        """Returns the form without a row: `name` is that of the list and the row's number."""
        pairs = tuple(pair for pair in self.pairs if not (pair[0] == name or pair[0].startswith(f"{name}.")))
        return replace(self, pairs=pairs)


def _entries_at(entries: Entries, name: str) -> Entries:
    for step in name.split(".", _MAX_STEPS):
        entries = entries.children.get(step, EMPTY)
    return entries


_BUTTONS = ("check", "add", "remove", "find", "record")


def new_key() -> str:
    """Returns a new idempotency key."""
    return secrets.token_urlsafe(18)


def parse_form(body: bytes) -> PostedForm:
    """Reads a body of `application/x-www-form-urlencoded`. Raises MalformedBody."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS, separator="&"
        )
    except ValueError:
        message = f"The form cannot be read. Send at most {MAX_FIELDS:,} fields, in UTF-8."
        raise MalformedBody(message) from None
    own = {name: value for name, value in pairs if name.startswith("form:")}
    buttons = [pair for pair in pairs if pair[0] in _BUTTONS]
    single = [name for name, _ in pairs if name in _OWN_NAMES]
    is_whole = len(set(single)) == len(single) and _NUMBERED_VERSION.fullmatch(own.get("form:version", ""))
    if len(buttons) > 1 or not is_whole:
        raise MalformedBody("The form was changed on its way: no browser sends it so. Open it again.")
    return PostedForm(
        pairs=tuple((n, v) for n, v in pairs if not n.startswith("form:") and n not in _BUTTONS),
        csrf=own.get("form:csrf", ""),
        key=own.get("form:key", ""),
        version=own.get("form:version", ""),
        after=own.get("form:after", ""),
        box_lists=_all_of(pairs, "form:shown"),
        offered=_all_of(pairs, "form:offered"),
        button=buttons[-1] if buttons else ("check", ""),
        member=own.get("form:member", ""),
        asked=own.get("form:asked", ""),
        preset=own.get("form:preset", ""),
        checked_digest=own.get("form:checked", ""),
    )


def _all_of(pairs: Sequence[Pair], name: str) -> frozenset[str]:
    return frozenset(value for own_name, value in pairs if own_name == name)
