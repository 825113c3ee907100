"""The numbers of a first table: characteristics of a group of participants, with shares, quartiles and missing values.

Pure.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.enrolled import Characteristic, MissingReason
from services.analytics.figures.shares import Share
from services.analytics.snapshot.snapshot import Mask
from services.analytics.statistics.quartiles import Spread, spread


class ValueShare(Share):
    """The participants with one value, of those of whom the characteristic is known."""

    value: str


class MissingCount(BaseModel):
    """The participants of whom a characteristic is not known, for one reason."""

    model_config = ConfigDict(frozen=True)

    reason: MissingReason
    participants: int


class Quartiles(BaseModel):
    """The median, the quartiles (type 7) and the range of a number, in its unit; null of nobody.

    Readers get no range, which is the values of two participants, and quartiles only of enough participants.
    """

    model_config = ConfigDict(frozen=True)

    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    minimum: float | None
    maximum: float | None

    @classmethod
    def of(cls, numbers: Spread) -> Self:
        return cls(
            median=numbers.median,
            lower_quartile=numbers.lower_quartile,
            upper_quartile=numbers.upper_quartile,
            minimum=numbers.minimum,
            maximum=numbers.maximum,
        )

    def without_range(self) -> Quartiles:
        """Returns the median and the quartiles alone."""
        return self.model_copy(update={"minimum": None, "maximum": None})


NO_QUARTILES = Quartiles(median=None, lower_quartile=None, upper_quartile=None, minimum=None, maximum=None)


class CharacteristicRows(BaseModel):
    """A characteristic in one group: those of whom it is known, with their values, and the others by reason.

    `item`: the gene or the symptom, of a characteristic that there is one of for each. `multiple`: a participant can
    have several of the values.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    item: str | None
    unit: str | None
    known: int
    missing: tuple[MissingCount, ...]
    multiple: bool
    values: tuple[ValueShare, ...]
    quartiles: Quartiles | None = Field(default=None, description="of a characteristic that is a number")

    @classmethod
    def of(cls, characteristic: Characteristic, group: Mask) -> Self:
        """Returns the numbers of a group of participants. A reason that holds for nobody is left out."""
        with_value = group & characteristic.is_known
        count = int(np.sum(with_value))
        counted = [(reason, int(np.sum(group & mask))) for reason, mask in characteristic.missing.items()]
        rows = cls(
            name=characteristic.name,
            item=characteristic.item or None,
            unit=characteristic.unit or None,
            known=count,
            missing=tuple(MissingCount(reason=reason, participants=number) for reason, number in counted if number),
            multiple=characteristic.is_multiple,
            values=tuple(
                ValueShare.of_counts(int(np.sum(with_value & mask)), count, value=value)
                for value, mask in characteristic.values.items()
            ),
        )
        if characteristic.numbers is None:
            return rows
        quartiles = Quartiles.of(spread(characteristic.numbers[with_value], characteristic.parts))
        return rows.model_copy(update={"quartiles": quartiles})

    def published(self, minimum: int) -> CharacteristicRows:
        """Returns all counts, and quartiles of at least `minimum` participants without the range."""
        if self.quartiles is None:
            return self
        quartiles = self.quartiles.without_range() if self.known >= minimum else NO_QUARTILES
        return self.model_copy(update={"quartiles": quartiles})


class CharacteristicsGroup(BaseModel):
    """The characteristics of one group of participants; `all` is the group of an undivided figure."""

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    characteristics: tuple[CharacteristicRows, ...]

    def rows_of(self, name: str) -> CharacteristicRows:
        """Returns the first characteristic of this name."""
        return next(rows for rows in self.characteristics if rows.name == name)
