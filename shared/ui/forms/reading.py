"""Reads the fields of a form into the JSON body that states the fact, by the fact's class.

A value that cannot be read as its type stays a text, so that the fact's class refuses it and the form shows it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shared.kernel.errors import Fault
from shared.kernel.text import is_showable
from shared.ui.forms.entries import EMPTY, NULL_TEXT, Entries, PostedForm, build_entries
from shared.ui.forms.fields import Choice, Group, Leaf, LeafKind, Mapped, Member, OneOf, Rows

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}([.,][0-9]{1,15})?")
_GRAY = re.compile(r"([0-9]{1,6}(?:[.,][0-9]{1,6})?) ?Gy")
CHOOSE_YES_OR_NO = Fault("schema-missing", "Choose yes or no.")
GIVE_ONE_ONLY = Fault("schema-one-of", "Fill in one of these only, and leave the others empty.")
SENT_TWICE = Fault("schema-sent-twice", "This was sent with two different values. Give one.")
UNKNOWN_FIELD = Fault("schema-extra-forbidden", "The form has fields that this fact does not have. Open it again.")
_CONTROL_CHARACTERS = "The text has control characters. Leave them out."
_LEFT_OUT = object()
Resolve = Callable[[Member, list[str]], str | Fault]
"""Returns the value that the texts of a field mean, such as the id of a term for its words; or what is wrong."""


@dataclass(frozen=True, slots=True)
class ChosenOption:
    """The shape that was filled in of a value that may have several: where it is, its type, and its JSON."""

    pointer: str
    annotation: Any
    value: Any


@dataclass(slots=True)
class FormReading:
    """The body, and what the form needs to show faults at their fields.

    `row_numbers`: the numbers of a list's rows in the form by the name of the list, in the order of the body.
    `keeps_texts`: null states that a sealed text stays as it is recorded.
    """

    body: Any = None
    faults: list[Fault] = field(default_factory=list)
    row_numbers: dict[str, list[int]] = field(default_factory=dict)
    keeps_texts: bool = False
    options: list[ChosenOption] = field(default_factory=list)


def single_text(_: Member, texts: list[str]) -> str | Fault:
    """Returns the text of a field; a fault for several ones, of which none may be preferred."""
    return texts[-1] if len(set(texts)) == 1 else SENT_TWICE


def read_form(
    fields: Group, form: PostedForm, resolve: Resolve = single_text, *, keeps_texts: bool = False
) -> FormReading:
    """Reads the whole form."""
    reader = _FormReader(form.box_lists, form.offered, resolve, FormReading(keeps_texts=keeps_texts))
    field_names = {name for name in {name for name, _ in form.pairs} if is_showable(name) and accepts(fields, name)}
    entries = build_entries(pair for pair in form.pairs if pair[0] in field_names)
    reader.reading.body = reader.read_group(fields, entries, "", "")
    if any(value.strip() for name, value in form.pairs if name not in field_names):
        reader.reading.faults.append(UNKNOWN_FIELD)
    return reader.reading


def accepts(fields: Group, name: str) -> bool:
    """Returns whether the fields have one of this name."""
    return _accepts(fields, name.split("."))


def _accepts(node: object, steps: list[str]) -> bool:
    match node:
        case Leaf() | Choice():
            return not steps
        case Group(members=members):
            return any(member.name == steps[0] and _accepts(member.node, steps[1:]) for member in members if steps)
        case Rows(item=item):
            return (
                _accepts(item.node, steps[1:])
                if steps and Entries.is_number(steps[0])
                else not steps and not _is_group(item)
            )
        case Mapped():
            return bool(steps)
        case OneOf(options=options):
            return any(_accepts(option.node, steps) for option in options)
    return False


def _is_group(item: Member) -> bool:
    return isinstance(item.node, Group)


@dataclass(frozen=True)
class _FormReader:
    box_lists: frozenset[str]
    offered: frozenset[str]
    resolve: Resolve
    reading: FormReading = field(default_factory=FormReading)

    def read_group(self, group: Group, entries: Entries, name: str, pointer: str) -> dict[str, Any]:
        body = {}
        for member in group.members:
            child = entries.children.get(member.name, EMPTY)
            child_name = f"{name}.{member.name}" if name else member.name
            value = self._read(member, child, child_name, f"{pointer}/{member.name}")
            if value is not _LEFT_OUT:
                body[member.name] = value
        return body

    def _read(self, member: Member, entries: Entries, name: str, pointer: str) -> Any:
        match member.node:
            case Leaf() | Choice():
                return self._read_value(member, entries, pointer)
            case Group() as group:
                is_stated = member.is_always_stated or entries.is_filled(name, self.offered)
                return self.read_group(group, entries, name, pointer) if is_stated else _LEFT_OUT
            case Rows(item=item):
                rows = self._read_rows(item, entries, name, pointer)
                states_empty_list = name in self.box_lists and (member.is_required or not member.may_be_null)
                return rows if rows or states_empty_list else _LEFT_OUT
            case Mapped(item=item):
                return self._read_map(member, item, entries, pointer)
            case OneOf(options=options):
                return self._read_one_of(options, entries, name, pointer)

    def _read_value(self, member: Member, entries: Entries, pointer: str) -> Any:
        texts = [text for text in entries.values if text.strip()]
        if not texts:
            if member.node == Leaf("boolean"):
                self._object(CHOOSE_YES_OR_NO, pointer)
            return _LEFT_OUT
        keeps_text = self.reading.keeps_texts and member.node == Leaf("sealed")
        may_be_null = member.states_null or keeps_text
        other_texts = [text for text in texts if text.strip() != NULL_TEXT] if keeps_text else []
        text = self.resolve(member, other_texts or texts)
        if isinstance(text, Fault):
            self._object(text, pointer)
            return _LEFT_OUT
        if not is_showable(text):
            self.reading.faults.append(Fault("schema-control-characters", _CONTROL_CHARACTERS, pointer))
            return _LEFT_OUT
        return None if text.strip() == NULL_TEXT and may_be_null else read_value(member, text)

    def _read_rows(self, item: Member, entries: Entries, name: str, pointer: str) -> list[Any]:
        rows: list[Any] = []
        for text in entries.values if not _is_group(item) else ():
            if text.strip():
                rows.append(self._read_item(item, Entries([text]), name, f"{pointer}/{len(rows)}"))
        self.reading.row_numbers[name] = [-1] * len(rows)
        for number in entries.numbers():
            row, row_name = entries.children[str(number)], f"{name}.{number}"
            if row.is_filled(row_name, self.offered):
                self.reading.row_numbers[name].append(number)
                rows.append(self._read_item(item, row, row_name, f"{pointer}/{len(rows)}"))
        return rows

    def _read_item(self, item: Member, entries: Entries, name: str, pointer: str) -> Any:
        """Returns an item of a list; null in the place of one that is objected to, so that others keep theirs."""
        value = self._read(item, entries, name, pointer)
        return None if value is _LEFT_OUT else value

    def _read_map(self, member: Member, item: Member, entries: Entries, pointer: str) -> Any:
        body = {}
        texts: dict[str, list[str]] = {}
        for key, text in entries.names():
            if key and text.strip():
                texts.setdefault(key, []).append(text)
        for key, values in texts.items():
            body[key] = self._read_value(item, Entries(values), f"{pointer}/{key}")
        return body if body or member.is_required else _LEFT_OUT

    def _read_one_of(self, options: tuple[Member, ...], entries: Entries, name: str, pointer: str) -> Any:
        parts = [(option, _part(option, entries)) for option in options]
        answers = [(option, part) for option, part in parts if part.is_filled(name, self.offered)]
        if not answers:
            return _LEFT_OUT
        if len(answers) > 1:
            self._object(GIVE_ONE_ONLY, pointer)
        option, part = answers[0]
        value = self._read(option, part, name, pointer)
        if value is not _LEFT_OUT:
            self.reading.options.append(ChosenOption(pointer, option.annotation, value))
        return value

    def _object(self, fault: Fault, pointer: str) -> None:
        self.reading.faults.append(Fault(fault.code, fault.message, pointer))


def _part(option: Member, entries: Entries) -> Entries:
    """Returns the entries that belong to one of several shapes of a value."""
    match option.node:
        case Group(members=members):
            names = {member.name for member in members}
            return Entries([], {step: child for step, child in entries.children.items() if step in names})
        case Rows():
            return Entries([], {step: child for step, child in entries.children.items() if Entries.is_number(step)})
        case _:
            return Entries(entries.values)


def read_value(member: Member, text: str) -> Any:
    """Returns the JSON value of a text; the text itself if it has another form than the member's type."""
    match member.node:
        case Choice(values=values):
            return next((value for value in values if str(value) == text.strip()), text.strip())
        case Leaf(kind=kind):
            value = _READERS[kind](text, member.presentation.unit)
            is_line = member.presentation.lines == 1
            return value.strip() if is_line and isinstance(value, str) else value
    return text


def _read_integer(text: str, unit: str) -> Any:
    number = _without_unit(text, unit)
    if unit == "cGy" and (dose := _GRAY.fullmatch(number)):
        centigray = Decimal(dose[1].replace(",", ".")) * 100
        return int(centigray) if centigray == int(centigray) else number
    return int(number) if _INTEGER.fullmatch(number) else number


def _read_decimal(text: str, unit: str) -> Any:
    number = _without_unit(text, unit)
    return float(number.replace(",", ".")) if _DECIMAL.fullmatch(number) else number


def _read_number_or_text(text: str, unit: str) -> Any:
    number = _without_unit(text, unit)
    if _INTEGER.fullmatch(number):
        return int(number)
    return float(number.replace(",", ".")) if _DECIMAL.fullmatch(number) else _read_text(text, unit)


def _without_unit(text: str, unit: str) -> str:
    stripped = text.strip()
    return stripped.removesuffix(unit).rstrip() if unit else stripped


def _read_boolean(text: str, _: str) -> Any:
    return {"true": True, "false": False}.get(text.strip(), text)


def _read_line(text: str, _: str) -> Any:
    return text.strip()


def _read_text(text: str, _: str) -> Any:
    return normalize_breaks(text)


def normalize_breaks(text: str) -> str:
    """Returns a text with every line break as LF. Browsers send CRLF, in which the text has not changed."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def keep_line_breaks(value: Any, before: Any) -> Any:
    """Returns a JSON value with the texts of the value before where only their line breaks differ."""
    if isinstance(value, str) and isinstance(before, str):
        return before if value == normalize_breaks(before) else value
    if isinstance(value, dict) and isinstance(before, dict):
        return {name: keep_line_breaks(inner, before.get(name)) for name, inner in value.items()}
    if isinstance(value, list) and isinstance(before, list):
        rest = [None] * max(0, len(value) - len(before))
        return [keep_line_breaks(*pair) for pair in zip(value, [*before, *rest], strict=False)]
    return value


_READERS: dict[LeafKind, Callable[[str, str], Any]] = {
    "text": _read_text,
    "sealed": _read_text,
    "integer": _read_integer,
    "decimal": _read_decimal,
    "number_or_text": _read_number_or_text,
    "boolean": _read_boolean,
    "date": _read_line,
    "day": _read_line,
    "time": _read_line,
}
