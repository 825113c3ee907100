"""The fields of a fact as a tree, made of its class: what a form asks for, and how it reads the answers."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.kernel.fact import Fact, TypedFact
from shared.kernel.partial_date import PartialDate
from shared.kernel.presentation import Offer, Presentation
from shared.kernel.sealed_text import SealedText

_CORRECTION_LABELS = {"reason_code": "Reason for the correction", "reason": "Reason in your words"}
MAX_LISTED_NUMBERS = 12
"""Whole numbers that are offered as a choice."""
LeafKind = Literal["text", "sealed", "integer", "decimal", "number_or_text", "boolean", "date", "day", "time"]
_KINDS: dict[Any, LeafKind] = {
    str: "text",
    UUID: "text",
    SealedText: "sealed",
    int: "integer",
    float: "decimal",
    bool: "boolean",
    PartialDate: "date",
    date: "day",
    datetime: "time",
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value that is typed in."""

    kind: LeafKind


@dataclass(frozen=True, slots=True)
class Choice:
    """A single value of a list of allowed ones."""

    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """An object with members."""

    model: type[BaseModel]
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list."""

    item: Member

    @property
    def is_set_of_codes(self) -> bool:
        """True for a list of allowed values, which boxes ask for."""
        return isinstance(self.item.node, Choice)


@dataclass(frozen=True, slots=True)
class Mapped:
    """An object whose members the study defines, such as the answers by criterion."""

    item: Member


@dataclass(frozen=True, slots=True)
class OneOf:
    """Values of different shapes, of which one is given."""

    options: tuple[Member, ...]


Node = Leaf | Choice | Group | Rows | Mapped | OneOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a fact, of one of its parts, or of a list (then without a name).

    `may_be_null`: null is one of the values that it may state. `default`: its JSON value if it is left out.
    `annotation`: its type.
    """

    name: str
    node: Node
    presentation: Presentation
    annotation: Any
    is_required: bool = True
    may_be_null: bool = False
    default: Any = None

    @property
    def is_asked(self) -> bool:
        """False for a member that has one value only."""
        return not (isinstance(self.node, Choice) and len(self.node.values) == 1 and not self.is_required)

    @property
    def states_null(self) -> bool:
        """True if the text `null` states that the value is not known."""
        return self.is_required and self.may_be_null

    @property
    def is_always_stated(self) -> bool:
        """True for an object that a form sends whole, even if the class has a default for it."""
        return isinstance(self.node, Group) and (self.is_required or self.default is not None)


@cache
def fact_fields(model: type[BaseModel]) -> Group:
    """Returns the fields of a fact or of a part of one."""
    return Group(model, tuple(_member(name, field) for name, field in model.model_fields.items()))


@cache
def correction_fields(correction: type[Fact], fact: type[Fact]) -> Group:
    """Returns the fields of a correction of one kind of fact. Its event, type and version are known beforehand."""
    content = Member(name="data", node=fact_fields(fact), presentation=Presentation(label="Content"), annotation=fact)
    replacement = Member(
        name="replacement",
        node=Group(TypedFact, (content,)),
        presentation=Presentation(label="The whole fact, as it should be"),
        annotation=TypedFact,
    )
    own_members = [
        replace(member, presentation=Presentation(label=_CORRECTION_LABELS[member.name]).over(member.presentation))
        for member in fact_fields(correction).members
        if member.name in _CORRECTION_LABELS
    ]
    return Group(correction, (*own_members, replacement))


def offers_within(group: Group) -> frozenset[Offer]:
    """Returns the names of everything that the fields offer."""
    return frozenset(member.presentation.offers for member in members_within(group) if member.presentation.offers)


def members_within(node: Node) -> Iterator[Member]:
    """Yields the members of a node and of everything in it."""
    match node:
        case Group(members=members) | OneOf(options=members):
            inner = members
        case Rows(item=item) | Mapped(item=item):
            inner = (item,)
        case _:
            inner = ()
    for member in inner:
        yield member
        yield from members_within(member.node)


def replaced_fields(correction: Group) -> Group:
    """Returns the fields of the fact that a correction restates."""
    replacement = next(member.node for member in correction.members if member.name == "replacement")
    content = replacement.members[0].node if isinstance(replacement, Group) else replacement
    return content if isinstance(content, Group) else correction


def _member(name: str, field: FieldInfo) -> Member:
    annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    default = field.get_default(call_default_factory=True, validated_data={})
    member = _parse(annotation)
    described = member.presentation.over(Presentation(help=field.description or ""))
    return replace(
        member,
        name=name,
        presentation=described.with_words_in_help().named(name),
        is_required=field.is_required(),
        default=None if default is PydanticUndefined else _as_json(default),
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


def _parse(annotation: Any) -> Member:
    """Returns a member without a name, of the type."""
    inner, metadata = annotation, Presentation()
    extras: Sequence[Any] = ()
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        for extra in extras:
            metadata = extra.over(metadata) if isinstance(extra, Presentation) else metadata
    if get_origin(inner) in (Union, types.UnionType):
        member = _parse_union(inner)
        return replace(member, presentation=metadata.over(member.presentation), annotation=annotation)
    node, presentation = _parse_plain(inner)
    bounds = number_range(annotation) if node == Leaf("integer") else None
    if bounds and len(bounds) <= MAX_LISTED_NUMBERS:
        node = Choice(tuple(bounds))
    return Member(name="", node=node, presentation=metadata.over(presentation), annotation=annotation)


def _parse_plain(inner: Any) -> tuple[Node, Presentation]:
    origin, arguments = get_origin(inner), get_args(inner)
    if origin is Annotated:
        member = _parse(inner)
        return member.node, member.presentation
    if origin is Literal:
        return Choice(arguments), Presentation()
    if origin is tuple:
        return Rows(_parse(arguments[0])), Presentation()
    if origin is dict:
        item = _parse(arguments[1])
        return Mapped(item), Presentation(words=item.presentation.words)
    if issubclass(inner, BaseModel):
        return fact_fields(inner), Presentation()
    return Leaf(_KINDS[inner]), Presentation()


def _parse_union(union: Any) -> Member:
    options = [_parse(argument) for argument in get_args(union) if argument is not type(None)]
    may_be_null = len(options) < len(get_args(union))
    if len(options) == 1:
        return replace(options[0], may_be_null=may_be_null)
    words = {code: word for option in options for code, word in option.presentation.words.items()}
    return Member(
        name="",
        node=_joined_choice(options) or _joined_leaf(options) or OneOf(tuple(options)),
        presentation=Presentation(words=words),
        annotation=union,
        may_be_null=may_be_null,
    )


def _joined_choice(options: Sequence[Member]) -> Choice | None:
    """Returns one choice of words or numbers for values in words or on a numerical scale."""
    values: list[str | int] = []
    for option in options:
        match option.node:
            case Choice(values=listed):
                values += listed
            case _:
                return None
    return Choice(tuple(values))


def _joined_leaf(options: Sequence[Member]) -> Leaf | None:
    """Returns one text for a number that may be stated in words."""
    kinds = {option.node.kind for option in options if isinstance(option.node, Leaf)}
    is_number_or_text = len(options) == 2 and "text" in kinds and bool(kinds & {"integer", "decimal"})
    return Leaf("number_or_text") if is_number_or_text else None


def number_range(annotation: Any) -> range | None:
    """Returns the allowed whole numbers if both bounds are declared."""
    constraints = list(_constraints(annotation))
    lowest = next((item.ge for item in constraints if isinstance(item, Ge)), None)
    highest = next((item.le for item in constraints if isinstance(item, Le)), None)
    return None if lowest is None or highest is None else range(int(str(lowest)), int(str(highest)) + 1)


def _constraints(annotation: Any) -> Iterator[Any]:
    for extra in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
        yield from extra.metadata if isinstance(extra, FieldInfo) else (extra,)
