"""Disclosure control: readers do not see counts that are small enough to point at single participants.

The type of a figure declares what is withheld: `ParticipantCount` marks a count of participants, `WithheldWith` a value
that would give away a count, and `Stratum` a group of participants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, JsonValue, WithJsonSchema

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


_NULLABLE_COUNT = {
    "anyOf": [{"type": "integer"}, {"type": "null"}],
    "description": "participants; null where the number is withheld from readers",
}
ParticipantCount = Annotated[int, SmallCell(), WithJsonSchema(_NULLABLE_COUNT)]


class Stratum(BaseModel):
    """A group of participants that a figure shows apart; `all` is the group of an undivided figure."""

    model_config = ConfigDict(frozen=True)

    name: str


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
