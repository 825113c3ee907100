"""Distant control: the incidence of distant failure."""

from __future__ import annotations

from typing import ClassVar

from services.analytics.endpoints.progression_control import Failure
from services.analytics.figures.progression_control import ProgressionControl
from services.analytics.figures.survival_numbers import Definition


class DistantControl(ProgressionControl):
    """The incidence of distant failure by group, with death without it competing."""

    NAME: ClassVar[str] = "distant-control"
    TITLE: ClassVar[str] = "Distant control"
    EXPLANATION: ClassVar[str] = (
        "Time from the origin to the first distant progression, with death competing (Aalen and Johansen). All "
        "others end on the last disease assessment."
    )
    FAILURE: ClassVar[Failure] = "distant"
    EVENT_NOUN: ClassVar[str] = "distant failure"
    EVENT_WORDS: ClassVar[str] = "distant progression"
    DEFINITION: ClassVar[Definition] = Definition(id="distant-control", version=2)
