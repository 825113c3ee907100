"""The services that record facts of participants."""

from __future__ import annotations

from typing import Literal, get_args

Service = Literal["enrollment", "toxicity", "followup"]
SERVICES: tuple[Service, ...] = get_args(Service)
"""In the order in which a participant's facts are stated: the other services learn of participants from enrollment."""
