"""Disclosure control: readers do not see counts that are small enough to point at single participants.

The type of a figure declares what is withheld: `ParticipantCount` marks a count of participants, `WithheldWith` a value
that would give away a count, and `Stratum` a group of participants. Every other whole number is an `OtherNumber`. A
figure with a whole number that has none of these marks cannot be defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, JsonValue, WithJsonSchema
from pydantic.fields import FieldInfo

from shared.contracts.study import ProtocolAmended, StudyOpened
from shared.kernel.record import Record


@dataclass(frozen=True, slots=True)
class SmallCell:
    """Marks a count of participants, which is null where it is small."""


@dataclass(frozen=True, slots=True)
class WithheldWith:
    """Marks a value that is replaced where one of these counts of the same model is withheld."""

    counts: tuple[str, ...]
    replacement: JsonValue = None


@dataclass(frozen=True, slots=True)
class NotParticipants:
    """Marks a value that counts no participants of the study, at any depth."""


_NULLABLE_COUNT = {
    "anyOf": [{"type": "integer"}, {"type": "null"}],
    "description": "participants; null where the number is withheld from readers",
}
ParticipantCount = Annotated[int, SmallCell(), WithJsonSchema(_NULLABLE_COUNT)]
OtherNumber = Annotated[int, NotParticipants()]
_WITHOUT_NUMBERS = (str, bool, float, date, datetime, NoneType)


class Stratum(BaseModel):
    """A group of participants that a figure shows apart; `all` is the group of an undivided figure."""

    model_config = ConfigDict(frozen=True)

    name: str


def require_disclosure_marks(figure: type[BaseModel], *, is_read_by_readers: bool) -> None:
    """Raises TypeError for a figure with a member that may show a whole number without a mark, at any depth.

    Counts of participants are withheld where they are members of the figure or of its groups, a `tuple[Stratum, ...]`.
    A count anywhere else is a TypeError as well, unless readers never get the figure.
    """
    _require_marks_of_model(figure, withholds_counts=True, may_nest_counts=not is_read_by_readers)


def _require_marks_of_model(model: type[BaseModel], *, withholds_counts: bool, may_nest_counts: bool) -> None:
    if model.model_computed_fields:
        raise TypeError(f"{model.__name__} has computed members, which are not withheld")
    counts = {name for name, field in model.model_fields.items() if SmallCell() in field.metadata}
    for name, field in model.model_fields.items():
        member, dependencies = f"{model.__name__}.{name}", _dependencies(field)
        if unknown := dependencies - counts:
            raise TypeError(f"{member} is withheld with {', '.join(sorted(unknown))}: not a count of {model.__name__}")
        if withholds_counts and (dependencies or (name in counts and field.annotation is int)):
            continue
        if withholds_counts and (stratum := _stratum_of(field)) and not issubclass(model, Stratum):
            _require_marks_of_model(stratum, withholds_counts=True, may_nest_counts=may_nest_counts)
        else:
            _require_marks(field.annotation, field.metadata, member, may_nest_counts=may_nest_counts)


def _require_marks(annotation: Any, marks: Sequence[object], member: str, *, may_nest_counts: bool) -> None:
    origin, parts = get_origin(annotation), get_args(annotation)
    if NotParticipants() in marks or annotation in _WITHOUT_NUMBERS:
        return
    if SmallCell() in marks and annotation is int:
        if not may_nest_counts:
            raise TypeError(f"{member} counts participants where counts are not withheld: make it part of a Stratum")
    elif origin is Annotated:
        _require_marks(parts[0], parts[1:], member, may_nest_counts=may_nest_counts)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        _require_marks_of_model(annotation, withholds_counts=False, may_nest_counts=may_nest_counts)
    elif origin is not None and origin is not Literal:
        for part in parts:
            if part is not Ellipsis:
                _require_marks(part, (), member, may_nest_counts=may_nest_counts)
    elif origin is None or not all(isinstance(value, str | bool) for value in parts):
        raise TypeError(f"{member} may have whole numbers without a mark: declare ParticipantCount or OtherNumber")


def _dependencies(field: FieldInfo) -> set[str]:
    """Returns the counts with which a member is withheld."""
    return {count for mark in field.metadata if isinstance(mark, WithheldWith) for count in mark.counts}


def _stratum_of(field: FieldInfo) -> type[Stratum] | None:
    """Returns the type of the groups that a member lists; None for any other member."""
    parts = get_args(field.annotation)
    is_listing = get_origin(field.annotation) is tuple and parts[1:] == (Ellipsis,)
    return parts[0] if is_listing and isinstance(parts[0], type) and issubclass(parts[0], Stratum) else None


def small_cell_threshold(study: Record) -> int:
    """Returns the count below which readers see none: the highest that any protocol of the study has set."""
    protocols = [opening.protocol for opening in study.facts_of(StudyOpened)]
    protocols += [amendment.protocol for amendment in study.facts_of(ProtocolAmended)]
    return max(protocol.small_cell for protocol in protocols)


def withheld_members(figure: BaseModel, threshold: int, *, is_whole_study: bool) -> dict[str, JsonValue]:
    """Returns the members of a figure of which anything is withheld, as readers see them.

    Withheld are counts from 1 to below `threshold`: in the groups of a divided figure, and everywhere in a figure of a
    part of the study. Counts of the whole study are shown.
    """
    withheld = {} if is_whole_study else _withheld(figure, threshold)
    for name, strata in _strata(figure):
        if is_whole_study and all(stratum.name == "all" for stratum in strata):
            continue
        shown = [_suppress_stratum(stratum, threshold) for stratum in strata]
        if any(_withheld(stratum, threshold) for stratum in strata):
            withheld[name] = list(shown)
    return withheld


def _suppress_stratum(stratum: Stratum, threshold: int) -> JsonValue:
    return {**stratum.model_dump(mode="json", exclude_unset=True), **_withheld(stratum, threshold)}


def _strata(figure: BaseModel) -> Iterable[tuple[str, list[Stratum]]]:
    for name, value in figure:
        if isinstance(value, tuple) and value and all(isinstance(member, Stratum) for member in value):
            yield name, list(value)


def _withheld(model: BaseModel, threshold: int) -> dict[str, JsonValue]:
    """Returns the small counts of a model, and the values that would give them away, with their replacements."""
    fields = type(model).model_fields
    small: dict[str, JsonValue] = {
        name: None
        for name, field in fields.items()
        if any(isinstance(mark, SmallCell) for mark in field.metadata) and 0 < getattr(model, name) < threshold
    }
    dependents = {
        name: mark.replacement
        for name, field in fields.items()
        for mark in field.metadata
        if isinstance(mark, WithheldWith) and small.keys() & set(mark.counts)
    }
    return {**small, **dependents}
