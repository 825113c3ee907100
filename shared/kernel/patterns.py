"""Sentences for the patterns that texts must match: users cannot read regular expressions.

A pattern is declared together with the sentence that a refusal gives for it. The published schema has the pattern
alone, so that a sentence may change.
"""

from __future__ import annotations

_SENTENCES: dict[str, str] = {}
_FIRST_CHARACTER_SENTENCE = "Begin with a letter or a digit."
ID_SENTENCE = (
    f"Give 1 to 32 characters: letters without accents, digits, hyphens and underscores. {_FIRST_CHARACTER_SENTENCE}"
)
DOTTED_ID_SENTENCE = (
    f"Give 1 to 32 characters: letters without accents, digits, hyphens, underscores, dots. {_FIRST_CHARACTER_SENTENCE}"
)
CODE_SENTENCE = (
    f"Give 1 to 64 characters without blanks: letters without accents, digits, and _ . : -. {_FIRST_CHARACTER_SENTENCE}"
)
NEXT_SENTENCE = "Give `next` of the page before, as it was answered."


def explain_pattern(pattern: str, sentence: str) -> str:
    """Returns the pattern, and remember the sentence for it. Raises TypeError where it has another one already."""
    if _SENTENCES.setdefault(pattern, sentence) != sentence:
        raise TypeError(f"the pattern {pattern} has two sentences")
    return pattern


def find_sentence(pattern: str) -> str | None:
    """Returns what a text must be to match the pattern; None for a pattern that was declared without a sentence."""
    return _SENTENCES.get(pattern)
