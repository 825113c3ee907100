"""Terms are found as people write them, in each version of CTCAE."""

from __future__ import annotations

import csv
import re

import pytest

from shared.terminology.ctcae import NAMES, dictionary
from shared.terminology.spellings import TABLE, spelled, words_of

ROWS = list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))
VOCABULARY = {word for name in NAMES for term in dictionary(name).terms.values() for word in term.words}
BRITISH = (
    (r"hem(?=at|o(?!r)|orrh|an)", "haem"), (r"emi(?=a$|c$)", "aemi"), (r"edema", "oedema"), (r"esoph", "oesoph"),
    (r"rrhea", "rrhoea"), (r"pnea", "pnoea"), (r"^fet", "foet"), (r"^fec", "faec"), (r"^cec", "caec"),
    (r"tumor", "tumour"), (r"color", "colour"), (r"odor$", "odour"), (r"behavior", "behaviour"),
    (r"iz(?=ed$|ation$)", "is"), (r"esthe(?=sia|tic)", "aesthe"), (r"leuko", "leuco"), (r"gynec", "gynaec"),
    (r"program$", "programme"), (r"tropin$", "trophin"),
)  # fmt: skip
"""How American spelling becomes British in medical words."""
NOT_BRITISH = {"systemic", "chemoradiation", "chemotherapy", "hemiparesis"}


def names(version: str, sought: str) -> list[str]:
    return [term.name for term in dictionary(version).search(sought)]


def british(word: str) -> str:
    for american, other in BRITISH:
        word = re.sub(american, other, word)
    return word


@pytest.mark.parametrize(
    ("sought", "in_3", "in_5"),
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
)  # fmt: skip
def test_terms_are_found_as_they_are_written_elsewhere(sought: str, in_3: str, in_5: str) -> None:
    version_3 = [name for name in names("ctcae-3.0", sought) if name.startswith(in_3)]
    assert version_3, names("ctcae-3.0", sought)
    assert in_5 in names("ctcae-5.0", sought)


@pytest.mark.parametrize(
    ("sought", "in_6"),
    [
        ("low platelets", "Thrombocytopenia"), ("platelet count decreased", "Thrombocytopenia"),
        ("lung infection", "Pneumonia"), ("leucopenia", "White blood cell decreased"), ("anaemia", "Anemia"),
        ("diarrhoea", "Diarrhea"), ("DVT", "Venous thromboembolism"), ("oesophagitis", "Esophagitis"),
    ],
)  # fmt: skip
def test_terms_of_version_6_are_found_by_their_earlier_names_too(sought: str, in_6: str) -> None:
    assert in_6 in names("ctcae-6.0", sought)


def test_what_is_sought_by_its_beginning_is_a_word_of_the_name() -> None:
    """Everyday words count when they are written out: `s` is not asked of swelling, `dysph` not of dysphonia."""
    assert "Edema limbs" not in names("ctcae-5.0", "swell")
    assert "Edema limbs" in names("ctcae-5.0", "swelling")
    assert "Hoarseness" not in names("ctcae-5.0", "dysphon")
    assert "Hoarseness" in names("ctcae-5.0", "dysphonia")


@pytest.mark.parametrize("sought", ["œsophagite", "Œdème", "œdema", "dyspnœa", "ŒSOPHAGITIS", "hæmorrhage", "diarrhœa"])
def test_ligatures_and_accents_do_not_matter(sought: str) -> None:
    for version in NAMES:
        plain = "".join(words_of(sought)).removesuffix("e") if sought.endswith(("ite", "ème")) else sought
        assert names(version, plain), (version, sought)


@pytest.mark.parametrize("version", NAMES)
def test_every_beginning_of_a_british_word_finds_the_term(version: str) -> None:
    for term in dictionary(version).terms.values():
        for word in term.words:
            if word not in NOT_BRITISH and (other := british(word)) != word:
                assert all(term.answers([other[:length]]) for length in range(1, len(other) + 1)), (term.name, other)


def test_names_that_begin_with_the_word_come_first_in_every_spelling() -> None:
    for version in NAMES:
        assert names(version, "oedema")[:2] == names(version, "edema")[:2]
        assert names(version, "haemorrhoids")[0] == "Hemorrhoids"


def test_a_spelling_finds_what_the_word_itself_finds() -> None:
    """And a spelling that is a word of CTCAE itself finds its own terms too."""
    for row in ROWS:
        if row["kind"] == "phrase":
            continue
        for version in NAMES:
            assert set(names(version, row["found"])) <= {*names(version, row["sought"])}, row


def test_a_phrase_finds_its_term_and_its_words_must_all_be_there() -> None:
    for row in (row for row in ROWS if row["kind"] == "phrase"):
        for version in NAMES:
            named = [
                term
                for term in dictionary(version).terms.values()
                if row["found"] in (term.name, term.name.partition(" / ")[0])
            ]
            assert all(term.answers(words_of(row["sought"])) for term in named), row
    assert names("ctcae-5.0", "high platelets") == []
    assert names("ctcae-5.0", "low hair") == []


def test_the_list_is_of_words_and_terms_that_there_are_each_once_and_with_a_reason() -> None:
    every = {term.name for name in NAMES for term in dictionary(name).terms.values()}
    every |= {name.partition(" / ")[0] for name in every}
    phrases = {word for row in ROWS if row["kind"] == "phrase" for word in words_of(row["sought"])}
    assert {row["kind"] for row in ROWS} == {"spelling", "word", "phrase"}
    assert len({(row["sought"], row["found"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["reason"].strip(), row
        assert row["found"] in (every if row["kind"] == "phrase" else VOCABULARY | phrases), row


def test_every_word_of_ctcae_that_is_spelled_otherwise_in_british_is_in_the_list() -> None:
    lacking = {word for word in VOCABULARY - NOT_BRITISH if british(word) not in {*spelled([word])}}
    assert lacking == set()


# Terms that differ between versions


@pytest.mark.parametrize(
    ("version", "grades"),
    [("ctcae-5.0", [(0, 1, 3)]), ("ctcae-6.0", [(0, 1, 3)]), ("ctcae-4.03", []), ("ctcae-3.0", [])],
)  # fmt: skip
def test_eosinophilia_came_with_version_5_and_has_two_grades(version: str, grades: list[tuple[int, ...]]) -> None:
    assert [term.grades for term in dictionary(version).search("eosinophilia")] == grades


def test_the_first_grade_of_a_raised_inr_is_by_the_upper_limit_of_normal_up_to_version_4_only() -> None:
    texts = {name: dictionary(name).search("INR increased")[0].descriptions[1] for name in NAMES[1:3]}
    assert "ULN" in texts["ctcae-4.03"]
    assert "ULN" not in texts["ctcae-5.0"]
    assert texts["ctcae-5.0"].startswith(">1.2 - 1.5")
