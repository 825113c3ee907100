"""Locoregional control: the incidence of local failure of the primary or a node, or of regional failure."""

from __future__ import annotations

from typing import ClassVar

from services.analytics.endpoints.progression_control import Failure
from services.analytics.figures.progression_control import ProgressionControl
from services.analytics.figures.survival_numbers import Definition


class LocoregionalControl(ProgressionControl):
    """The incidence of locoregional failure by group, with death without it competing."""

    NAME: ClassVar[str] = "locoregional-control"
    TITLE: ClassVar[str] = "Locoregional control"
    EXPLANATION: ClassVar[str] = (
        "Time from the origin to the first progression of the primary tumor or of regional nodes, with death "
        "competing (Aalen and Johansen). All others end on the last disease assessment."
    )
    FAILURE: ClassVar[Failure] = "locoregional"
    EVENT_NOUN: ClassVar[str] = "locoregional failure"
    EVENT_WORDS: ClassVar[str] = "local progression of the primary tumor or a node, or of regional progression"
    DEFINITION: ClassVar[Definition] = Definition(id="locoregional-control", version=2)
