"""Other ways to write CTCAE terms: British spellings, everyday words and abbreviations.

Each row of `spellings.csv` has an `alternative`, its kind, what it `stands_for`, and the reason for it. A `spelling`
replaces a word of a term's name, and its beginning also matches the beginning of that word. A `word` is a synonym of
such a word, and matches only in full. A `phrase` is another name of a term, in the versions that have a term of that
name; its words match only in full.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

TABLE_PATH = Path(__file__).with_name("spellings.csv")
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
"""Letters that Unicode does not decompose, after `casefold`."""


def split_words(text: str) -> tuple[str, ...]:
    """Splits a text into words to compare, in one case and without accents. Only letters and digits form words."""
    folded = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    letters = (letter for letter in folded if not unicodedata.combining(letter))
    return tuple("".join(letter if letter.isalnum() else " " for letter in letters).split())


def all_spellings(words: Iterable[str]) -> Iterator[str]:
    """Yields each of the words and every other spelling of it."""
    for word in words:
        yield word
        yield from _alternatives_of_kind("spelling").get(word, ())


def synonyms_for(words: Iterable[str]) -> frozenset[str]:
    """Returns the synonyms of all of the words."""
    return frozenset(synonym for word in words for synonym in _alternatives_of_kind("word").get(word, ()))


def phrases_for(name: str) -> Iterator[frozenset[str]]:
    """Yields the words of each phrase for the terms of a name, in every spelling."""
    for phrase in _alternatives_of_kind("phrase").get(name, ()):
        yield frozenset(all_spellings(split_words(phrase)))


@cache
def _alternatives_of_kind(kind: str) -> dict[str, tuple[str, ...]]:
    """Returns the alternatives of one kind (`spelling`, `word` or `phrase`) by the word or term that they stand for."""
    alternatives: dict[str, tuple[str, ...]] = {}
    for row in _rows():
        if row["kind"] == kind:
            alternatives[row["stands_for"]] = (*alternatives.get(row["stands_for"], ()), row["alternative"])
    return alternatives


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with TABLE_PATH.open(encoding="utf-8", newline="") as table:
        return tuple(csv.DictReader(table))
