"""Other ways to write a term of CTCAE: British spellings, words of everyday speech, short forms. Pure.

`spellings.csv` has one a row, with the reason why it is there. A `spelling` stands for one word of a term's name,
wherever it occurs, and its beginning for the beginning of that word. A `word` does so too, but only where it is written
out; a `phrase` of words that are written out stands for a term, in the versions that have one of that name.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

TABLE_PATH = Path(__file__).with_name("spellings.csv")
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
"""Letters that Unicode does not take apart, after `casefold`."""


def split_words(text: str) -> tuple[str, ...]:
    """The words to compare: in one case, without accents; whatever is neither letter nor digit parts them."""
    folded = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    letters = (letter for letter in folded if not unicodedata.combining(letter))
    return tuple("".join(letter if letter.isalnum() else " " for letter in letters).split())


def all_spellings(words: Iterable[str]) -> Iterator[str]:
    """Each of the words, and every other spelling of it."""
    for word in words:
        yield word
        yield from _alternatives_of_kind("spelling").get(word, ())


def synonyms_for(words: Iterable[str]) -> frozenset[str]:
    """Other words that stand for one of these."""
    return frozenset(synonym for word in words for synonym in _alternatives_of_kind("word").get(word, ()))


def phrases_for(name: str) -> Iterator[frozenset[str]]:
    """The words of each phrase that stands for a term of that name, in every spelling."""
    for phrase in _alternatives_of_kind("phrase").get(name, ()):
        yield frozenset(all_spellings(split_words(phrase)))


@cache
def _alternatives_of_kind(kind: str) -> dict[str, tuple[str, ...]]:
    """Other spellings by which each word or term is found."""
    alternatives: dict[str, tuple[str, ...]] = {}
    for row in _rows():
        if row["kind"] == kind:
            alternatives[row["found"]] = (*alternatives.get(row["found"], ()), row["sought"])
    return alternatives


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with TABLE_PATH.open(encoding="utf-8", newline="") as table:
        return tuple(csv.DictReader(table))
