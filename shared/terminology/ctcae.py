"""The CTCAE dictionaries: which terms there are, which grades each has, and how a term is found. Pure.

The tables lie in `dictionaries`, with a word on where they come from; each is read when it is first asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from shared.terminology.spellings import phrases, spelled, synonyms, words_of

NAMES = ("ctcae-3.0", "ctcae-4.03", "ctcae-5.0", "ctcae-6.0")
NOT_THERE = 0
"""Grade 0, looked for and not there: every term has it, and no table describes it."""
SITE = " / "
"""Parts the name of a term of v3.0 from its site."""
_TABLES = Path(__file__).with_name("dictionaries")
_DESCRIBED = range(1, 6)


@dataclass(frozen=True)
class Term:
    """One row of a table. `name` has the site too, where v3.0 asks for one: `Pain / Neck`."""

    term_id: str
    category: str
    name: str
    descriptions: Mapping[int, str]
    """Of the grades 1 to 5 those that exist, with their texts. There are holes."""

    @property
    def grades(self) -> tuple[int, ...]:
        return (NOT_THERE, *self.descriptions)

    @cached_property
    def words(self) -> tuple[str, ...]:
        return words_of(self.name)

    @cached_property
    def _spelled(self) -> frozenset[str]:
        return frozenset(spelled(self.words))

    @cached_property
    def _other_words(self) -> tuple[frozenset[str], ...]:
        """Words that stand for those of the name: alone, and with each phrase that stands for the term."""
        others = synonyms(self.words)
        names = dict.fromkeys((self.name, self.name.partition(SITE)[0]))
        return (others, *(others | phrase for name in names for phrase in phrases(name)))

    @cached_property
    def _any_other_word(self) -> frozenset[str]:
        return frozenset().union(*self._other_words)

    def answers(self, words: Iterable[str]) -> bool:
        """Does every one of them begin a word of the name, or stand for one in full? The first that does neither ends
        the search."""
        others = set[str]()
        for word in words:
            if any(spelling.startswith(word) for spelling in self._spelled):
                continue
            if word not in self._any_other_word:
                return False
            others.add(word)
        return any(others <= each for each in self._other_words)

    def begins_with(self, words: Sequence[str]) -> bool:
        return bool(words) and any(first.startswith(words[0]) for first in spelled(self.words[:1]))


@dataclass(frozen=True)
class Dictionary:
    """One version of CTCAE. `terms` are in the order of the table, by id."""

    name: str
    terms: Mapping[str, Term]

    @cached_property
    def categories(self) -> Mapping[str, int]:
        """Category → number of its terms, in the order of the table."""
        counts: dict[str, int] = {}
        for term in self.terms.values():
            counts[term.category] = counts.get(term.category, 0) + 1
        return counts

    def search(self, sought: str = "", *, category: str | None = None, after: str = "", limit: int = 100) -> list[Term]:
        """Terms in whose name (site included) every word of `sought` begins a word; all, where nothing is sought.

        Other spellings of a word and other names of a term count too (`shared.terminology.spellings`).

        Names that begin with the first word come first, and otherwise the table's order holds. `after` is the id of
        the term to go on behind, `limit` the number of terms at most. Raises KeyError for an `after` that is no term.
        """
        words = tuple(dict.fromkeys(words_of(sought)))
        first = _place(self.terms[after], words) if after else (False, "")
        found = (term for term in self.terms.values() if category in (None, term.category) and term.answers(words))
        following = (term for term in found if _place(term, words) > first)
        return sorted(following, key=lambda term: _place(term, words))[:limit]


def _place(term: Term, words: Sequence[str]) -> tuple[bool, str]:
    return not term.begins_with(words), term.term_id


@cache
def dictionary(name: str) -> Dictionary:
    """The dictionary of that name, such as `ctcae-3.0`. Raises KeyError for one that there is not."""
    if name not in NAMES:
        raise KeyError(name)
    with (_TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as table:
        terms = [_term(row) for row in csv.DictReader(table)]
    return Dictionary(name, {term.term_id: term for term in terms})


def dictionary_of(term_id: str) -> Dictionary:
    """The dictionary that a term's id (`3.0:0150`) belongs to. Raises KeyError for one that there is not."""
    return dictionary(f"ctcae-{term_id.partition(':')[0]}")


def _term(row: Mapping[str, str]) -> Term:
    name = f"{row['term']}{SITE}{row['site']}" if row["site"] else row["term"]
    texts = {grade: row[f"grade{grade}"] for grade in _DESCRIBED if row[f"grade{grade}"]}
    return Term(row["term_id"], row["category"], name, texts)


class Names(Mapping[str, str]):
    """The name of every term of every version, by its id; KeyError for what is no term."""

    def __getitem__(self, term_id: str) -> str:
        return dictionary_of(term_id).terms[term_id].name

    def __iter__(self) -> Iterator[str]:
        return (term_id for name in NAMES for term_id in dictionary(name).terms)

    def __len__(self) -> int:
        return sum(len(dictionary(name).terms) for name in NAMES)
