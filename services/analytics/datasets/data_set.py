"""The definition of a data set: its records, how they are made, and what standards say of it. Pure.

A data set is one module with a class of records and the function that makes them, and one line in `registry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import NamedColumn, Value, columns_of

Record = tuple[Value, ...]
DataClass = Literal["SUBJECT LEVEL ANALYSIS DATASET", "BASIC DATA STRUCTURE", "OCCURRENCE DATA STRUCTURE", "ADAM OTHER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set. `structure`: what a record stands for. `keys`: the columns that identify it, in the order of sorting.

    `record`: the class of its records, whose members declare the columns. `make`: yields the records of a cohort.
    """

    name: str
    label: str
    structure: str
    data_class: DataClass
    keys: tuple[str, ...]
    record: type[Record]
    make: Callable[[CutCohort], Iterable[Record]]

    @property
    def columns(self) -> tuple[NamedColumn, ...]:
        return columns_of(self.record)

    @property
    def file_name(self) -> str:
        """The name of its files, without the extension."""
        return self.name.lower()
