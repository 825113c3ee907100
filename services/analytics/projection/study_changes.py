"""Notifications of changed studies: the channels of PostgreSQL, and the form of a payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

PROJECTED_CHANNEL = "quartal_projected"
"""The channel of the projection: facts of a study have been applied."""
DERIVED_CHANNEL = "quartal_live"
"""The channel of the deriver: the rows of a study are those of its newest facts."""
SEALING_CHANNEL = "quartal_sealing"
"""The channel of the sealers: more of a data cut is sealed. The payload is the study's id."""


@dataclass(frozen=True, slots=True)
class StudyChange:
    """A change of a study. `study_version`: the version of its own facts; None in a notification without it."""

    study_id: str
    position: int
    study_version: int | None

    @classmethod
    def from_payload(cls, payload: str) -> Self:
        """Reads `study:position:version` or `study:position`. Raises ValueError for any other text."""
        study_id, position, *version = payload.split(":")
        return cls(study_id, int(position), int(version[0]) if version else None)
