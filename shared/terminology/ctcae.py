"""The CTCAE dictionaries: their terms, the grades of each term, and the search for terms.

The tables are in the folder `dictionaries`, whose README names their source. Each table is read at its first use.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from shared.terminology.spellings import all_spellings, phrases_for, split_words, synonyms_for

DICTIONARY_NAMES = ("ctcae-3.0", "ctcae-4.03", "ctcae-5.0", "ctcae-6.0")
GRADE_ABSENT = 0
"""Grade 0: the site looked for the event and found none. Every term has this grade; no table describes it."""
SITE_SEPARATOR = " / "
"""Separates the name of a term of v3.0 from its anatomical site."""
_TABLE_FOLDER = Path(__file__).with_name("dictionaries")
_DESCRIBED_GRADES = range(1, 6)


@dataclass(frozen=True)
class CtcaeTerm:
    """One row of a table. In v3.0 `name` includes the anatomical site if the term has one: `Pain / Neck`."""

    term_id: str
    category: str
    name: str
    descriptions: Mapping[int, str]
    """Descriptions of the grades that the term has, by grade from 1 to 5. Some terms lack grades."""

    @property
    def grades(self) -> tuple[int, ...]:
        return (GRADE_ABSENT, *self.descriptions)

    @cached_property
    def words(self) -> tuple[str, ...]:
        return split_words(self.name)

    @cached_property
    def _spellings(self) -> frozenset[str]:
        return frozenset(all_spellings(self.words))

    @cached_property
    def _synonym_sets(self) -> tuple[frozenset[str], ...]:
        """Synonyms of the words of the name: alone, and together with each phrase that is another name of the term."""
        word_synonyms = synonyms_for(self.words)
        names = dict.fromkeys((self.name, self.name.partition(SITE_SEPARATOR)[0]))
        return (word_synonyms, *(word_synonyms | phrase for name in names for phrase in phrases_for(name)))

    @cached_property
    def _all_synonyms(self) -> frozenset[str]:
        return frozenset().union(*self._synonym_sets)

    def matches(self, words: Iterable[str]) -> bool:
        """Returns whether every word is the beginning of a word of the name or, in full, a synonym of one.

        All synonyms must belong together: to the words of the name, with at most one phrase.
        """
        needed_synonyms = set[str]()
        for word in words:
            if any(spelling.startswith(word) for spelling in self._spellings):
                continue
            if word not in self._all_synonyms:
                return False
            needed_synonyms.add(word)
        return any(needed_synonyms <= synonym_set for synonym_set in self._synonym_sets)

    def begins_with(self, words: Sequence[str]) -> bool:
        """Returns whether the name begins with the first of the words, in any spelling."""
        return bool(words) and any(first.startswith(words[0]) for first in all_spellings(self.words[:1]))


@dataclass(frozen=True)
class CtcaeDictionary:
    """One version of CTCAE. `terms` are in the order of the table, by id."""

    name: str
    terms: Mapping[str, CtcaeTerm]

    @cached_property
    def categories(self) -> Mapping[str, int]:
        """The number of terms of each category, in the order of the table."""
        counts: dict[str, int] = {}
        for term in self.terms.values():
            counts[term.category] = counts.get(term.category, 0) + 1
        return counts

    def search(
        self, query: str = "", *, category: str | None = None, after: str = "", limit: int = 100
    ) -> list[CtcaeTerm]:
        """Finds the terms in whose name every word of `query` is the beginning of a word. An empty query finds all.

        The name includes the anatomical site. Other spellings and other names of a term match too (`spellings.py`).
        Names that begin with the first word come first; otherwise terms have the order of the table. `after` is the id
        of the last term of the previous page, `limit` the greatest number of terms. Raises KeyError if `after` is not
        the id of a term.
        """
        words = tuple(dict.fromkeys(split_words(query)))
        after_key = _sort_key(self.terms[after], words) if after else (False, "")
        matching = (term for term in self.terms.values() if category in (None, term.category) and term.matches(words))
        following = (term for term in matching if _sort_key(term, words) > after_key)
        return sorted(following, key=lambda term: _sort_key(term, words))[:limit]


def _sort_key(term: CtcaeTerm, words: Sequence[str]) -> tuple[bool, str]:
    return not term.begins_with(words), term.term_id


@cache
def load_dictionary(name: str) -> CtcaeDictionary:
    """Loads the dictionary of a name such as `ctcae-3.0`. Raises KeyError for an unknown name."""
    if name not in DICTIONARY_NAMES:
        raise KeyError(name)
    with (_TABLE_FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as table:
        terms = [_term_from_row(row) for row in csv.DictReader(table)]
    return CtcaeDictionary(name, {term.term_id: term for term in terms})


def dictionary_for_term(term_id: str) -> CtcaeDictionary:
    """Loads the dictionary of a term's id, such as `3.0:0150`. Raises KeyError for an unknown version."""
    return load_dictionary(f"ctcae-{term_id.partition(':')[0]}")


def _term_from_row(row: Mapping[str, str]) -> CtcaeTerm:
    name = f"{row['term']}{SITE_SEPARATOR}{row['site']}" if row["site"] else row["term"]
    texts = {grade: row[f"grade{grade}"] for grade in _DESCRIBED_GRADES if row[f"grade{grade}"]}
    return CtcaeTerm(row["term_id"], row["category"], name, texts)


class TermNames(Mapping[str, str]):
    """The names of the terms of all versions by their ids, read-only. An unknown id raises KeyError."""

    def __getitem__(self, term_id: str) -> str:
        return dictionary_for_term(term_id).terms[term_id].name

    def __iter__(self) -> Iterator[str]:
        return (term_id for name in DICTIONARY_NAMES for term_id in load_dictionary(name).terms)

    def __len__(self) -> int:
        return sum(len(load_dictionary(name).terms) for name in DICTIONARY_NAMES)
