"""Names that a client wrote and that nothing here has: what exists, and which of it was probably meant.

The client's own name is never part of the sentence: a program that mixes up a name and a value sends patient data.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MAX_COMPARED_LENGTH = 64  # characters of a name that is compared
MAX_LISTED_NAMES = 40  # names that one sentence lists
MIN_SIMILARITY = 0.75


def closest_name(name: str, declared: Collection[str]) -> str | None:
    """Return the declared name that differs in case, in separators, or by a typing error; None if none is near."""
    if len(name) > MAX_COMPARED_LENGTH:
        return None
    names_by_key = {_comparison_key(each): each for each in declared}
    matches = get_close_matches(_comparison_key(name), names_by_key, n=1, cutoff=MIN_SIMILARITY)
    return names_by_key[matches[0]] if matches else None


def unknown_name_message(kind: str, name: str, declared: Collection[str]) -> str:
    """Return the sentence that refuses an unknown name. `kind` is a noun of which there are several, as `member`."""
    if not declared:
        return f"There is no such {kind} here. No {kind}s are accepted here."
    sorted_names = sorted(declared)
    listing = ", ".join(sorted_names[:MAX_LISTED_NAMES]) + (
        f" and {len(sorted_names) - MAX_LISTED_NAMES} more" if sorted_names[MAX_LISTED_NAMES:] else ""
    )
    closest = closest_name(name, declared)
    suggestion = f" Probably {closest} was meant." if closest else ""
    return f"There is no such {kind} here.{suggestion} The {kind}s are: {listing}."


def _comparison_key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
