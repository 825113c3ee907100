"""Terms are found as people write them, in each version of CTCAE."""

from __future__ import annotations

import csv
import re
from functools import cache

import pytest

from shared.terminology.ctcae import DICTIONARY_NAMES, load_dictionary
from shared.terminology.spellings import TABLE_PATH, all_spellings, split_words

ROWS = list(csv.DictReader(TABLE_PATH.read_text("utf-8").splitlines()))
VOCABULARY = {word for name in DICTIONARY_NAMES for term in load_dictionary(name).terms.values() for word in term.words}
BRITISH = (
    (r"hem(?=at|o(?!r)|orrh|an)", "haem"),
    (r"emi(?=a$|c$)", "aemi"),
    (r"edema", "oedema"),
    (r"esoph", "oesoph"),
    (r"rrhea", "rrhoea"),
    (r"pnea", "pnoea"),
    (r"^fet", "foet"),
    (r"^fec", "faec"),
    (r"^cec", "caec"),
    (r"tumor", "tumour"),
    (r"color", "colour"),
    (r"odor$", "odour"),
    (r"behavior", "behaviour"),
    (r"iz(?=ed$|ation$)", "is"),
    (r"esthe(?=sia|tic)", "aesthe"),
    (r"leuko", "leuco"),
    (r"gynec", "gynaec"),
    (r"program$", "programme"),
    (r"tropin$", "trophin"),
)
"""Replacements that turn the American spelling of medical words into the British one."""
NOT_BRITISH = {"systemic", "chemoradiation", "chemotherapy", "hemiparesis"}


@cache
def term_names(version: str, query: str) -> list[str]:
    return [term.name for term in load_dictionary(version).search(query)]


def to_british(word: str) -> str:
    for american, british_spelling in BRITISH:
        word = re.sub(american, british_spelling, word)
    return word


@pytest.mark.parametrize(
    ("query", "in_3", "in_5"),
    [
        ("diarrhoea", "Diarrhea", "Diarrhea"),
        ("oesophagitis", "Esophagitis", "Esophagitis"),
        ("anaemia", "Hemoglobin", "Anemia"),
        ("haemorrhage", "Hemorrhage, CNS", "Anal hemorrhage"),
        ("oedema", "Edema:limb", "Edema limbs"),
        ("dyspnoea", "Dyspnea (shortness of breath)", "Dyspnea"),
        ("leucopenia", "Leukocytes (total WBC)", "White blood cell decreased"),
        ("low platelets", "Platelets", "Platelet count decreased"),
        ("thrombocytopenia", "Platelets", "Platelet count decreased"),
        ("neutropenia", "Neutrophils/granulocytes (ANC/AGC)", "Neutrophil count decreased"),
        ("low white count", "Leukocytes (total WBC)", "White blood cell decreased"),
        ("hair loss", "Hair loss/alopecia (scalp or body)", "Alopecia"),
        ("dry mouth", "Dry mouth/salivary gland (xerostomia)", "Dry mouth"),
        ("difficulty swallowing", "Dysphagia (difficulty swallowing)", "Dysphagia"),
        ("swelling larynx", "Edema, larynx", "Laryngeal edema"),
        ("acid reflux", "Heartburn/dyspepsia", "Gastroesophageal reflux disease"),
        ("tumour pain", "Pain / Tumor pain", "Tumor pain"),
    ],
)
def test_terms_are_found_by_british_and_everyday_words(query: str, in_3: str, in_5: str) -> None:
    version_3 = [name for name in term_names("ctcae-3.0", query) if name.startswith(in_3)]
    assert version_3, term_names("ctcae-3.0", query)
    assert in_5 in term_names("ctcae-5.0", query)


@pytest.mark.parametrize(
    ("query", "in_6"),
    [
        ("low platelets", "Thrombocytopenia"),
        ("platelet count decreased", "Thrombocytopenia"),
        ("lung infection", "Pneumonia"),
        ("leucopenia", "White blood cell decreased"),
        ("anaemia", "Anemia"),
        ("diarrhoea", "Diarrhea"),
        ("DVT", "Venous thromboembolism"),
        ("oesophagitis", "Esophagitis"),
    ],
)
def test_terms_of_version_6_are_found_by_earlier_names(query: str, in_6: str) -> None:
    assert in_6 in term_names("ctcae-6.0", query)


def test_prefixes_match_words_of_the_name_but_not_synonyms() -> None:
    """A synonym must be written in full: `swell` does not find terms of swelling, nor `dysphon` those of dysphonia."""
    assert "Edema limbs" not in term_names("ctcae-5.0", "swell")
    assert "Edema limbs" in term_names("ctcae-5.0", "swelling")
    assert "Hoarseness" not in term_names("ctcae-5.0", "dysphon")
    assert "Hoarseness" in term_names("ctcae-5.0", "dysphonia")


@pytest.mark.parametrize("query", ["œsophagite", "Œdème", "œdema", "dyspnœa", "ŒSOPHAGITIS", "hæmorrhage", "diarrhœa"])
def test_search_ignores_ligatures_and_accents(query: str) -> None:
    for version in DICTIONARY_NAMES:
        plain = "".join(split_words(query)).removesuffix("e") if query.endswith(("ite", "ème")) else query
        assert term_names(version, plain), (version, query)


@pytest.mark.parametrize("version", DICTIONARY_NAMES)
def test_every_prefix_of_a_british_word_finds_the_term(version: str) -> None:
    for term in load_dictionary(version).terms.values():
        for word in term.words:
            if word not in NOT_BRITISH and (british_word := to_british(word)) != word:
                assert all(term.matches([british_word[:length]]) for length in range(1, len(british_word) + 1)), (
                    term.name,
                    british_word,
                )


def test_names_beginning_with_the_word_come_first_in_every_spelling() -> None:
    for version in DICTIONARY_NAMES:
        assert term_names(version, "oedema")[:2] == term_names(version, "edema")[:2]
        assert term_names(version, "haemorrhoids")[0] == "Hemorrhoids"


def test_alternative_spelling_finds_the_terms_of_the_word() -> None:
    """A spelling that is itself a word of CTCAE finds its own terms too, hence a subset."""
    for row in ROWS:
        if row["kind"] == "phrase":
            continue
        for version in DICTIONARY_NAMES:
            assert set(term_names(version, row["stands_for"])) <= {*term_names(version, row["alternative"])}, row


def test_phrase_finds_its_term_and_requires_all_words() -> None:
    for row in (row for row in ROWS if row["kind"] == "phrase"):
        for version in DICTIONARY_NAMES:
            named = [
                term
                for term in load_dictionary(version).terms.values()
                if row["stands_for"] in (term.name, term.name.partition(" / ")[0])
            ]
            assert all(term.matches(split_words(row["alternative"])) for term in named), row
    assert term_names("ctcae-5.0", "high platelets") == []
    assert term_names("ctcae-5.0", "low hair") == []


def test_spelling_table_has_unique_existing_entries_with_reasons() -> None:
    every = {term.name for name in DICTIONARY_NAMES for term in load_dictionary(name).terms.values()}
    every |= {name.partition(" / ")[0] for name in every}
    phrases = {word for row in ROWS if row["kind"] == "phrase" for word in split_words(row["alternative"])}
    assert {row["kind"] for row in ROWS} == {"spelling", "word", "phrase"}
    assert len({(row["alternative"], row["stands_for"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["reason"].strip(), row
        assert row["stands_for"] in (every if row["kind"] == "phrase" else VOCABULARY | phrases), row


def test_every_word_with_a_british_spelling_is_in_the_table() -> None:
    lacking = {word for word in VOCABULARY - NOT_BRITISH if to_british(word) not in {*all_spellings([word])}}
    assert lacking == set()


# Terms that differ between versions


@pytest.mark.parametrize(
    ("version", "grades"),
    [("ctcae-5.0", [(0, 1, 3)]), ("ctcae-6.0", [(0, 1, 3)]), ("ctcae-4.03", []), ("ctcae-3.0", [])],
)
def test_eosinophilia_exists_since_version_5_with_grades_1_and_3(version: str, grades: list[tuple[int, ...]]) -> None:
    assert [term.grades for term in load_dictionary(version).search("eosinophilia")] == grades


def test_raised_inr_refers_to_the_upper_limit_of_normal_until_version_4() -> None:
    texts = {name: load_dictionary(name).search("INR increased")[0].descriptions[1] for name in DICTIONARY_NAMES[1:3]}
    assert "ULN" in texts["ctcae-4.03"]
    assert "ULN" not in texts["ctcae-5.0"]
    assert texts["ctcae-5.0"].startswith(">1.2 - 1.5")
