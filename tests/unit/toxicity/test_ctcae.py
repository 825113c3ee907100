from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.reference.study import CHECKLIST
from shared.protocol.protocol import Toxicity
from shared.terminology.ctcae import NAMES, Dictionary, Term, dictionary, dictionary_of

V3 = dictionary("ctcae-3.0")


def names(found: list[Term]) -> list[str]:
    return [term.name for term in found]


@pytest.mark.parametrize(
    ("name", "terms", "categories", "described", "missing"),
    [
        ("ctcae-3.0", 1059, 28, 4476, 819),
        ("ctcae-4.03", 790, 26, 3049, 901),
        ("ctcae-5.0", 837, 26, 3185, 1000),
        ("ctcae-6.0", 850, 26, 3235, 1015),
    ],
)
def test_each_version_is_whole(name: str, terms: int, categories: int, described: int, missing: int) -> None:
    held = dictionary(name)
    texts = sum(len(term.descriptions) for term in held.terms.values())
    assert (len(held.terms), len(held.categories), texts, 5 * terms - texts) == (terms, categories, described, missing)
    assert sum(held.categories.values()) == terms
    assert all(term.name and term.category and term.descriptions for term in held.terms.values())
    assert all(text.strip() for term in held.terms.values() for text in term.descriptions.values())


def test_there_is_a_dictionary_for_whatever_a_protocol_may_name_and_no_other() -> None:
    assert get_args(Toxicity.model_fields["dictionary"].annotation) == NAMES
    for name in ("ctcae-2.0", "", "../ctcae-3.0", "CTCAE-3.0"):
        with pytest.raises(KeyError):
            dictionary(name)


def test_a_terms_id_says_which_dictionary_it_is_of() -> None:
    for name in NAMES:
        assert all(dictionary_of(term) is dictionary(name) for term in dictionary(name).terms)


def test_a_term_of_v3_is_named_with_its_site_where_it_has_one() -> None:
    assert V3.terms["3.0:0191"].name == "Mucositis/stomatitis (clinical exam) / Oral cavity"
    assert V3.terms["3.0:0150"].name == "Dysphagia (difficulty swallowing)"
    assert sum(" / " in term.name for term in V3.terms.values()) == 723
    assert len({(term.category, term.name) for term in V3.terms.values()}) == 1059


def test_grades_have_holes() -> None:
    hypothermia, serum_sickness = V3.terms["3.0:0083"], V3.terms["3.0:0005"]
    assert hypothermia.grades == (0, 2, 3, 4, 5)
    assert serum_sickness.grades == (0, 3, 5)
    assert dict(serum_sickness.descriptions) == {3: "Present", 5: "Death"}


def test_a_first_seizure_has_another_grade_in_another_version() -> None:
    """Why a grade is never carried over: controlled by a drug, it is grade 2 in v3.0, and new onset is 3 in v5.0."""
    seizure = V3.terms["3.0:0699"]
    later = next(term for term in dictionary("ctcae-5.0").terms.values() if term.name == "Seizure")
    assert "well controlled by anticonvulsants" in seizure.descriptions[2]
    assert "new onset seizures" in later.descriptions[3].lower()


def test_the_reference_studys_checklist_is_of_its_dictionary() -> None:
    assert set(CHECKLIST) <= set(V3.terms)


def test_what_begins_with_the_word_comes_before_what_only_holds_it() -> None:
    assert names(V3.search("dysph")) == [
        "Dysphagia (difficulty swallowing)",
        "Speech impairment (e.g., dysphasia or aphasia)",
    ]
    found = V3.search("pain")
    leading = [term.name.startswith("Pain") for term in found]
    assert leading == sorted(leading, reverse=True)
    assert set(leading) == {True, False}


def test_words_are_found_in_any_order_in_name_and_site() -> None:
    oral = [
        "Mucositis/stomatitis (clinical exam) / Oral cavity",
        "Mucositis/stomatitis (functional/symptomatic) / Oral cavity",
    ]
    assert names(V3.search("muco oral")) == names(V3.search("cavity  STOMAT")) == oral
    assert names(V3.search("oral-mucositis: exam")) == oral[:1]


def test_a_word_that_fits_nothing_ends_the_search() -> None:
    """Anybody with a token may send a hundred words, and each term would be compared with all of them."""

    def words() -> Iterator[str]:
        yield "dysphagia"
        yield "zzz"
        pytest.fail("a term is compared with the rest")

    assert not any(term.answers(words()) for term in V3.terms.values())


def test_a_word_that_is_sent_many_times_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    answers = Term.answers

    def count_words(term: Term, words: Any) -> bool:
        compared.append(len(words))
        return answers(term, words)

    monkeypatch.setattr(Term, "answers", count_words)
    assert V3.search("Pain neck pain, PAIN neck") == V3.search("pain neck")
    assert set(compared) == {2}


def test_every_word_has_to_begin_a_word() -> None:
    assert names(V3.search("stomatitis nose")) == []
    assert "Dysphagia (difficulty swallowing)" not in names(V3.search("phagia"))


@pytest.mark.parametrize("sought", ["dyspnéa", "DYSPNEA", "dyspne\u0301a", "\uff24yspnea", " dyspnea, "])
def test_case_accents_and_punctuation_do_not_matter(sought: str) -> None:
    assert names(V3.search(sought)) == ["Dyspnea (shortness of breath)"]


@pytest.mark.parametrize("sought", ["", "   ", "-/("])
def test_nothing_sought_is_every_term_in_the_tables_order(sought: str) -> None:
    assert [term.term_id for term in V3.search(sought, limit=2000)] == sorted(V3.terms)


def test_a_category_narrows_the_search() -> None:
    found = V3.search("edema", category="PULMONARY/UPPER RESPIRATORY")
    assert names(found) == ["Edema, larynx"]
    assert len(V3.search(category="PAIN")) == V3.categories["PAIN"]


def paged(held: Dictionary, sought: str, size: int) -> list[Term]:
    found: list[Term] = []
    while page := held.search(sought, after=found[-1].term_id if found else "", limit=size):
        assert len(page) <= size
        assert page[0] not in found[-1:]
        found += page
    return found


@given(st.sampled_from(NAMES), st.sampled_from(["", "pain", "e", "infection ear", "d s"]), st.integers(50, 400))
def test_pages_laid_end_to_end_are_the_whole(name: str, sought: str, size: int) -> None:
    held = dictionary(name)
    assert paged(held, sought, size) == held.search(sought, limit=5000)


@given(st.data())
def test_every_term_is_found_by_the_beginnings_of_its_words(data: st.DataObject) -> None:
    held = dictionary(data.draw(st.sampled_from(NAMES)))
    term = data.draw(st.sampled_from(list(held.terms.values())))
    words = data.draw(st.permutations(term.words))
    sought = " ".join(word[: data.draw(st.integers(1, len(word)))] for word in words)
    assert term in held.search(sought, limit=5000)
    with pytest.raises(KeyError):
        held.search(sought, after="3.0:9999")
