"""Names that a client wrote and that nothing here has: what exists, and which of it was probably meant.

The client's own name is never part of the sentence: a program that mixes up a name and a value sends patient data.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

LONGEST_NAME = 64  # characters of a name that is compared
MOST_NAMES = 40  # names that one sentence lists
SIMILARITY = 0.75


def probably_meant(name: str, declared: Collection[str]) -> str | None:
    """Return the declared name that differs in case, in separators, or by a typing error; None if none is near."""
    if len(name) > LONGEST_NAME:
        return None
    plain = {_plain(each): each for each in declared}
    near = get_close_matches(_plain(name), plain, n=1, cutoff=SIMILARITY)
    return plain[near[0]] if near else None


def unknown(kind: str, name: str, declared: Collection[str]) -> str:
    """Return the sentence that refuses an unknown name. `kind` is a noun of which there are several, as `member`."""
    if not declared:
        return f"There is no such {kind} here. No {kind}s are accepted here."
    listed = sorted(declared)
    shown = ", ".join(listed[:MOST_NAMES]) + (f" and {len(listed) - MOST_NAMES} more" if listed[MOST_NAMES:] else "")
    near = probably_meant(name, declared)
    meant = f" Probably {near} was meant." if near else ""
    return f"There is no such {kind} here.{meant} The {kind}s are: {shown}."


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
