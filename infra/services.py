"""The services that record facts of participants."""

from __future__ import annotations

from typing import Literal, get_args

Service = Literal["enrollment", "toxicity", "followup"]
SERVICES: tuple[Service, ...] = get_args(Service)
"""The services in the order in which facts are stated. The others learn of participants from the first."""
