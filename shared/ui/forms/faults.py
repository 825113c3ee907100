"""Faults of a form: found by the class of the fact, and led from JSON pointers to the names of fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.kernel.errors import Fault
from shared.kernel.partial_date import NULL_SENTENCE
from shared.kernel.sealed_text import KEEPING_TEXTS
from shared.ui.forms.context import FormContext
from shared.ui.forms.entries import EMPTY, Entries
from shared.ui.forms.fields import Choice, Group, Leaf, Mapped, Member, OneOf, Rows
from shared.ui.forms.offers import offered
from shared.ui.forms.reading import FormReading, accepts
from shared.validation.validation_messages import schema_faults
from shared.web.request_body import declared_members

_MEMBER_NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b(?!\.[a-z])")
"""A name with an underscore, and not the first part of a fact's type."""
NO_ANSWER = Fault("schema-missing", "This question has no answer.")


def validation_faults(annotation: Any, reading: FormReading) -> list[Fault]:
    """Returns everything that the fact's class objects to, and what the reader objected to before.

    Values that may have several shapes are validated as the shape that was filled in: the other ones do not object.
    """
    pointers = [option.pointer for option in reading.options]
    faults = [*reading.faults, *_outside(_faults_of(annotation, reading.body), pointers)]
    for option in reading.options:
        inner_pointers = [pointer for pointer in pointers if pointer.startswith(f"{option.pointer}/")]
        inner = _faults_of(option.annotation, option.value, KEEPING_TEXTS if reading.keeps_texts else None)
        inner_faults = [Fault(fault.code, fault.message, option.pointer + fault.pointer) for fault in inner]
        faults += _outside(inner_faults, inner_pointers)
    return list(_first_of_each_pointer(faults))


def unanswered_rows(fields: Group, entries: Entries, context: FormContext) -> Iterator[Fault]:
    """Yields a fault for each question of the protocol that the form leaves without an answer."""
    for member in fields.members:
        if isinstance(member.node, Mapped) and member.is_required:
            answers = dict(entries.children.get(member.name, EMPTY).names())
            for question in offered(context, member.presentation.offers):
                if not answers.get(question.value, "").strip():
                    yield Fault(NO_ANSWER.code, NO_ANSWER.message, f"/{member.name}/{question.value}")


def with_unanswered(faults: Sequence[Fault], unanswered: Iterable[Fault]) -> list[Fault]:
    """Returns the faults, with those of unanswered questions in place of one about the whole list of questions."""
    pointers = {fault.pointer for fault in faults}
    added = [fault for fault in unanswered if fault.pointer not in pointers]
    parents = {fault.pointer.rpartition("/")[0] for fault in added}
    return [*(fault for fault in faults if fault.code != "schema-missing" or fault.pointer not in parents), *added]


def _outside(faults: Sequence[Fault], pointers: Sequence[str]) -> list[Fault]:
    return [
        fault
        for fault in faults
        if not any(fault.pointer == pointer or fault.pointer.startswith(f"{pointer}/") for pointer in pointers)
    ]


def _first_of_each_pointer(faults: Sequence[Fault]) -> Iterator[Fault]:
    pointers = set[str]()
    for fault in faults:
        if not fault.pointer or fault.pointer not in pointers:
            yield fault
        pointers.add(fault.pointer)


def _faults_of(annotation: Any, value: Any, context: dict[str, bool] | None = None) -> list[Fault]:
    try:
        _adapter(annotation).validate_python(value, context=context)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        details = [{**detail, "loc": ("body", *detail["loc"])} for detail in errors]
        faults = schema_faults(details, value, _member_names(annotation))
        return [Fault(fault.code, fault.message.removesuffix(NULL_SENTENCE), fault.pointer) for fault in faults]
    return []


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


@cache
def _member_names(annotation: Any) -> frozenset[str]:
    return frozenset(declared_members(annotation, set()))


def with_labels(message: str, fields: Group) -> str:
    """Returns a message that names members of the interface with the labels of their fields instead."""
    labels = dict(_labels_within(fields)) if _MEMBER_NAME.search(message) else {}
    return _MEMBER_NAME.sub(lambda match: f'"{labels[match[0]]}"' if match[0] in labels else match[0], message)


def _labels_within(node: Any) -> Iterator[tuple[str, str]]:
    match node:
        case Group(members=members):
            for member in members:
                yield member.name, member.presentation.label
                yield from _labels_within(member.node)
        case Rows(item=item) | Mapped(item=item):
            yield from _labels_within(item.node)
        case OneOf(options=options):
            for option in options:
                yield from _labels_within(option.node)


def field_name(pointer: str, fields: Group, reading: FormReading) -> str:
    """Returns the name of the field or fieldset at the pointer into the body."""
    name = ""
    node: Any = fields
    steps = pointer.split("/")[1:]
    for index, step in enumerate(steps):
        node = _option_with(node, step)
        match node:
            case Mapped():
                return ".".join([name, *steps[index:]])
            case Rows(item=item):
                numbers = reading.row_numbers.get(name, [])
                number = numbers[int(step)] if step.isdecimal() and int(step) < len(numbers) else -1
                name, node = f"{name}.{number}" if number >= 0 else name, item.node
            case Group():
                member = _member_named(node, step)
                if member is None:
                    return name
                name, node = f"{name}.{step}" if name else step, member.node
            case _:
                return name
    return name


def _member_named(group: Group, name: str) -> Member | None:
    return next((member for member in group.members if member.name == name), None)


def _option_with(node: Any, step: str) -> Any:
    """Returns the shape, of several, that has the step."""
    if not isinstance(node, OneOf):
        return node
    for option in node.options:
        match option.node:
            case Group() as group if accepts(group, step) or _member_named(group, step):
                return group
            case Rows() if step.isdecimal():
                return option.node
            case Leaf() | Choice() | Mapped() | OneOf() | Group() | Rows():
                continue
    return node
