"""Messages about unknown names: the names that exist, and the one that was probably meant.

The message never contains the client's own name: a program that confuses a name and a value sends patient data.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MAX_COMPARED_LENGTH = 64  # characters; longer names get no suggestion
MAX_LISTED_NAMES = 40
MIN_SIMILARITY = 0.75


def closest_name(name: str, declared: Collection[str]) -> str | None:
    """Returns the declared name that differs in case, in separators, or by a typing error; None if none is near."""
    if len(name) > MAX_COMPARED_LENGTH:
        return None
    names_by_key = {_comparison_key(declared_name): declared_name for declared_name in declared}
    matches = get_close_matches(_comparison_key(name), names_by_key, n=1, cutoff=MIN_SIMILARITY)
    return names_by_key[matches[0]] if matches else None


def unknown_name_message(kind: str, name: str, declared: Collection[str]) -> str:
    """Returns the message that refuses an unknown name. `kind` is a noun with a regular plural, such as `member`."""
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
