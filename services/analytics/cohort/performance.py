"""The ECOG performance status of a participant, as measured or converted from Karnofsky by a named map. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

EcogMap = Literal["oken-standard"]
ECOG_MAP: EcogMap = "oken-standard"
"""The name of the map from Karnofsky to ECOG: the table that ECOG and ESMO use."""
ECOG_OF_KARNOFSKY: Mapping[int, int] = {
    100: 0,
    90: 0,
    80: 1,
    70: 1,
    60: 2,
    50: 2,
    40: 3,
    30: 3,
    20: 4,
    10: 4,
    0: 5,
}


def ecog_status(scale: str, value: int) -> int | None:
    """Returns the ECOG status of a value measured on the scale `KPS` or `ECOG`; None for no measurement."""
    if scale == "ECOG":
        return value
    return ECOG_OF_KARNOFSKY.get(value) if scale == "KPS" else None
