from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.reference.study import CHECKLIST
from shared.protocol.protocol import ToxicityPlan
from shared.terminology.ctcae import DICTIONARY_NAMES, CtcaeDictionary, CtcaeTerm, dictionary_for_term, load_dictionary

V3 = load_dictionary("ctcae-3.0")


def term_names(terms: list[CtcaeTerm]) -> list[str]:
    return [term.name for term in terms]


@pytest.mark.parametrize(
    ("name", "terms", "categories", "described", "missing"),
    [
        ("ctcae-3.0", 1059, 28, 4476, 819),
        ("ctcae-4.03", 790, 26, 3049, 901),
        ("ctcae-5.0", 837, 26, 3185, 1000),
        ("ctcae-6.0", 850, 26, 3235, 1015),
    ],
)
def test_each_version_is_complete(name: str, terms: int, categories: int, described: int, missing: int) -> None:
    ctcae = load_dictionary(name)
    texts = sum(len(term.descriptions) for term in ctcae.terms.values())
    assert (len(ctcae.terms), len(ctcae.categories), texts, 5 * terms - texts) == (
        terms,
        categories,
        described,
        missing,
    )
    assert sum(ctcae.categories.values()) == terms
    assert all(term.name and term.category and term.descriptions for term in ctcae.terms.values())
    assert all(text.strip() for term in ctcae.terms.values() for text in term.descriptions.values())


def test_dictionaries_are_those_that_a_protocol_may_name() -> None:
    assert get_args(ToxicityPlan.model_fields["dictionary"].annotation) == DICTIONARY_NAMES
    for name in ("ctcae-2.0", "", "../ctcae-3.0", "CTCAE-3.0"):
        with pytest.raises(KeyError):
            load_dictionary(name)


def test_term_id_identifies_its_dictionary() -> None:
    for name in DICTIONARY_NAMES:
        assert all(dictionary_for_term(term) is load_dictionary(name) for term in load_dictionary(name).terms)


def test_a_term_of_v3_is_named_with_its_site_where_it_has_one() -> None:
    assert V3.terms["3.0:0191"].name == "Mucositis/stomatitis (clinical exam) / Oral cavity"
    assert V3.terms["3.0:0150"].name == "Dysphagia (difficulty swallowing)"
    assert sum(" / " in term.name for term in V3.terms.values()) == 723
    assert len({(term.category, term.name) for term in V3.terms.values()}) == 1059


def test_terms_may_lack_grades() -> None:
    hypothermia, serum_sickness = V3.terms["3.0:0083"], V3.terms["3.0:0005"]
    assert hypothermia.grades == (0, 2, 3, 4, 5)
    assert serum_sickness.grades == (0, 3, 5)
    assert dict(serum_sickness.descriptions) == {3: "Present", 5: "Death"}


def test_first_seizure_has_different_grades_in_v3_and_v5() -> None:
    """A grade is therefore never converted: a controlled seizure is grade 2 in v3.0, and a new one grade 3 in v5.0."""
    seizure = V3.terms["3.0:0699"]
    seizure_in_v5 = next(term for term in load_dictionary("ctcae-5.0").terms.values() if term.name == "Seizure")
    assert "well controlled by anticonvulsants" in seizure.descriptions[2]
    assert "new onset seizures" in seizure_in_v5.descriptions[3].lower()


def test_checklist_of_the_reference_study_is_in_its_dictionary() -> None:
    assert set(CHECKLIST) <= set(V3.terms)


def test_names_beginning_with_the_word_come_first() -> None:
    assert term_names(V3.search("dysph")) == [
        "Dysphagia (difficulty swallowing)",
        "Speech impairment (e.g., dysphasia or aphasia)",
    ]
    matches = V3.search("pain")
    leading = [term.name.startswith("Pain") for term in matches]
    assert leading == sorted(leading, reverse=True)
    assert set(leading) == {True, False}


def test_search_words_match_in_any_order_in_name_and_site() -> None:
    oral = [
        "Mucositis/stomatitis (clinical exam) / Oral cavity",
        "Mucositis/stomatitis (functional/symptomatic) / Oral cavity",
    ]
    assert term_names(V3.search("muco oral")) == term_names(V3.search("cavity  STOMAT")) == oral
    assert term_names(V3.search("oral-mucositis: exam")) == oral[:1]


def test_search_stops_at_a_word_without_match() -> None:
    """A caller may send a hundred words, and each term would be compared with all of them."""

    def words() -> Iterator[str]:
        yield "dysphagia"
        yield "zzz"
        pytest.fail("a term is compared with the rest")

    assert not any(term.matches(words()) for term in V3.terms.values())


def test_repeated_search_words_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    matches = CtcaeTerm.matches

    def count_words(term: CtcaeTerm, words: Any) -> bool:
        compared.append(len(words))
        return matches(term, words)

    monkeypatch.setattr(CtcaeTerm, "matches", count_words)
    assert V3.search("Pain neck pain, PAIN neck") == V3.search("pain neck")
    assert set(compared) == {2}


def test_search_words_match_only_word_beginnings() -> None:
    assert term_names(V3.search("stomatitis nose")) == []
    assert "Dysphagia (difficulty swallowing)" not in term_names(V3.search("phagia"))


@pytest.mark.parametrize("query", ["dyspnéa", "DYSPNEA", "dyspne\u0301a", "\uff24yspnea", " dyspnea, "])
def test_search_ignores_case_accents_and_punctuation(query: str) -> None:
    assert term_names(V3.search(query)) == ["Dyspnea (shortness of breath)"]


@pytest.mark.parametrize("query", ["", "   ", "-/("])
def test_empty_search_returns_every_term_in_table_order(query: str) -> None:
    assert [term.term_id for term in V3.search(query, limit=2000)] == sorted(V3.terms)


def test_a_category_narrows_the_search() -> None:
    terms = V3.search("edema", category="PULMONARY/UPPER RESPIRATORY")
    assert term_names(terms) == ["Edema, larynx"]
    assert len(V3.search(category="PAIN")) == V3.categories["PAIN"]


def search_all_pages(ctcae: CtcaeDictionary, query: str, size: int) -> list[CtcaeTerm]:
    terms: list[CtcaeTerm] = []
    while page := ctcae.search(query, after=terms[-1].term_id if terms else "", limit=size):
        assert len(page) <= size
        assert page[0] not in terms[-1:]
        terms += page
    return terms


@given(
    st.sampled_from(DICTIONARY_NAMES), st.sampled_from(["", "pain", "e", "infection ear", "d s"]), st.integers(50, 400)
)
def test_pages_together_are_the_complete_result(name: str, query: str, size: int) -> None:
    ctcae = load_dictionary(name)
    assert search_all_pages(ctcae, query, size) == ctcae.search(query, limit=5000)


@given(st.data())
def test_every_term_is_found_by_prefixes_of_its_words(data: st.DataObject) -> None:
    ctcae = load_dictionary(data.draw(st.sampled_from(DICTIONARY_NAMES)))
    term = data.draw(st.sampled_from(list(ctcae.terms.values())))
    words = data.draw(st.permutations(term.words))
    query = " ".join(word[: data.draw(st.integers(1, len(word)))] for word in words)
    assert term in ctcae.search(query, limit=5000)
    with pytest.raises(KeyError):
        ctcae.search(query, after="3.0:9999")
