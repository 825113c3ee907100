"""Plain text, such as titles and reasons: limited in length, and without characters that no screen shows."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from shared.kernel.patterns import explain_pattern

_NOT_BLANK_PATTERN = explain_pattern(r"\S", "Give a text that is not blank.")
_HIDDEN_CATEGORIES = {"Cc", "Cs", "Co", "Cn"}


def is_showable(text: str) -> bool:
    """Returns whether the text has only characters that can be shown and that PostgreSQL stores.

    Others are control characters except tab and line breaks, surrogates, private-use and unassigned characters.
    """
    return text.isprintable() or all(
        character in "\t\n\r" or unicodedata.category(character) not in _HIDDEN_CATEGORIES for character in set(text)
    )


def _require_showable(text: str) -> str:
    if not is_showable(text):
        raise ValueError("The text has control characters. Leave them out.")
    return text


ShortText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=300, pattern=_NOT_BLANK_PATTERN),
    AfterValidator(_require_showable),
]
LongText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=4000, pattern=_NOT_BLANK_PATTERN),
    AfterValidator(_require_showable),
]
