"""The relation of a figure to the seal of the data cut that it is asked for at. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class SealState:
    """The relation of a figure at a named data cut to the seal of the cut.

    `is_sealed`: the figure is stored with the cut; otherwise it was computed for a request. `is_later`: the cut was
    sealed by a later version than that under which it was taken. `excluded_since`: participants whom the sealed figures
    count, and who are in no analysis any more; 0 in a sealed figure.
    """

    is_sealed: bool
    is_later: bool = False
    excluded_since: int = 0

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the members of the `.json` answer."""
        return {
            "sealed": self.is_sealed,
            **({"sealed_later": True} if self.is_sealed and self.is_later else {}),
            **({"excluded_since": self.excluded_since} if self.excluded_since else {}),
        }
