"""Terms of CTCAE in forms: an id, or words that lead to a short list of terms."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.kernel.errors import Fault
from shared.terminology import ctcae

MAX_TERMS = 20
TERM_OFFERS = ("terms", "checklist", "dictionary_terms")
"""Offers of members that state a term."""
_UNRESOLVED = Fault("schema-term", "Choose one of the terms for these words, or type other words and press Find.")
_TERM_ID = re.compile(r"[0-9.]{3,4}:[0-9]{4}")


def is_term_id(text: str) -> bool:
    return _TERM_ID.fullmatch(text.strip()) is not None


def search_words(texts: Sequence[str]) -> str:
    """Returns the words among the values of a field; an empty text if there is an id alone."""
    return next((text for text in texts if text.strip() and not is_term_id(text)), "")


def find_terms(dictionary: ctcae.CtcaeDictionary, words: str) -> list[ctcae.CtcaeTerm]:
    """Returns the first terms that the words may mean."""
    if not any(character.isalnum() for character in words):
        return []
    return dictionary.search(words, limit=MAX_TERMS)


def resolve_term(dictionary: ctcae.CtcaeDictionary, texts: Sequence[str]) -> str | Fault:
    """Returns the id of the term that a field means; a fault where the words do not lead to the chosen term."""
    words = search_words(texts)
    term_id = next((text.strip() for text in texts if is_term_id(text)), "")
    if not words:
        return term_id
    return term_id if term_id in {term.term_id for term in find_terms(dictionary, words)} else _UNRESOLVED
