"""Parts of the baseline assessment: stage, performance status, molecular findings and symptoms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from shared.kernel.fact import FactPart
from shared.kernel.ids import Code
from shared.kernel.patterns import ID_SENTENCE, explain_pattern
from shared.kernel.presentation import Presentation
from shared.kernel.sealed_text import SealedString


def _text_pattern(pattern: str, sentence: str) -> StringConstraints:
    return StringConstraints(strict=True, pattern=explain_pattern(pattern, sentence))


MetastasisSite = Literal[
    "lung", "bone", "brain", "liver", "lymph_node_distant", "adrenal", "pleura", "skin", "soft_tissue", "other"
]


class NotReported(FactPart):
    """A value that is not known, with the reason why."""

    not_reported: Annotated[SealedString, Presentation(label="Not known, because")]
    """Reason why the value is not known, in the site's words. Encrypted: only the site reads it."""


def _edition_as_text(value: object) -> object:
    return str(value) if type(value) is int else value


_PREFIX = "(c|p|yc|yp|r)?"
_PREFIX_SENTENCE = "with the prefix c, p, yc, yp or r where it has one"
_T_SENTENCE = f"Give TX, T0, Tis, T1, T1a, T1b, T2, T3, T3a, T3b, T4, T4a or T4b, {_PREFIX_SENTENCE}."
_N_SENTENCE = f"Give NX, N0, N0a, N0b, N1, N1a or N1b, {_PREFIX_SENTENCE}."
TCategory = Annotated[str, _text_pattern(f"^{_PREFIX}T(X|0|is|1[ab]?|2|3[ab]?|4[ab]?)$", _T_SENTENCE)]
NCategory = Annotated[str, _text_pattern(f"^{_PREFIX}N(X|0[ab]?|1[ab]?)$", _N_SENTENCE)]
MCategory = Annotated[str, _text_pattern("^(c?M0|c?M1|pM1)$", "Give M0, cM0, M1, cM1 or pM1.")]


class Tnm(FactPart):
    """Stage by TNM (AJCC/UICC), as the site staged it, with the prefix. The stage group is derived, never stated."""

    t: Annotated[TCategory | NotReported, Presentation(label="T")]
    """Category of the primary tumor, such as cT4a. The categories are those of the thyroid gland."""
    n: Annotated[NCategory | NotReported, Presentation(label="N")]
    """Category of the regional lymph nodes, such as cN1."""
    m: Annotated[MCategory | NotReported, Presentation(label="M")]
    """Category of distant metastasis, such as M0."""
    edition: Annotated[
        Literal["6", "7", "8", "9"],
        BeforeValidator(_edition_as_text),
        Presentation(words={"6": "6th", "7": "7th", "8": "8th", "9": "9th"}),
    ] = "8"
    """Edition of the TNM classification."""


class Performance(FactPart):
    """Performance status on the scale on which it was measured. It is never converted to the other scale."""

    scale: Annotated[Literal["KPS", "ECOG"], Presentation(words={"KPS": "Karnofsky (KPS)", "ECOG": "ECOG (WHO)"})]
    """KPS: Karnofsky performance status. ECOG: performance status of the Eastern Cooperative Oncology Group."""
    value: Annotated[int, Field(strict=True, ge=0, le=100)]
    """Karnofsky: 0 to 100 percent in tens, 100 is best. ECOG: 0 to 5, 0 is best, 5 is dead."""

    @model_validator(mode="after")
    def _require_value_on_scale(self) -> Performance:
        if self.scale == "KPS" and self.value % 10:
            raise ValueError("Give the Karnofsky performance status in tens, from 0 to 100.")
        if self.scale == "ECOG" and self.value > 5:
            raise ValueError("Give the ECOG performance status as a number from 0 to 5.")
        return self


_ALTERATION_SENTENCE = (
    "Give 1 to 100 characters: letters without accents, digits, blanks, and _ . : > * + ( ) / , -; a protein change "
    "such as p.V600E, for example."
)
_HISTOLOGY_SENTENCE = "Give a morphology code of ICD-O-3: four digits, a slash and one digit, such as 8070/3."
_ICD_10_SENTENCE = (
    "Give a code of ICD-10: a capital letter and two digits, and one or two more after a dot, such as C32.0 or C73."
)


class MolecularFinding(FactPart):
    """Result of one molecular test of one gene."""

    gene: Annotated[str, _text_pattern(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", ID_SENTENCE)]
    """Symbol of the gene, such as EGFR."""
    alteration: Annotated[str, _text_pattern(r"^[A-Za-z0-9_.:>*+()/, -]{1,100}$", _ALTERATION_SENTENCE)] | None = None
    """Alteration as the report names it, such as p.L858R."""
    origin: Annotated[
        Literal["tumour", "germline", "cfDNA", "not_stated"],
        Presentation(words={"tumour": "Tumor", "cfDNA": "Circulating DNA (cfDNA)"}),
    ] = "tumour"
    """Material that was tested: tumor, germline, or circulating DNA (cfDNA)."""
    result: Annotated[
        Literal["pathogenic", "likely_pathogenic", "vus", "detected", "not_detected", "not_tested", "failed"]
        | NotReported,
        Presentation(help="Result of the test.", words={"vus": "Variant of uncertain significance (VUS)"}),
    ]
    """Result of the test. `vus`: variant of uncertain significance."""


class SymptomAtBaseline(FactPart):
    """Severity of one symptom before treatment."""

    symptom: Annotated[Code, Presentation(offers="symptoms", one_row_each=True)]
    """Symptom, as the protocol names it."""
    severity: Literal["none", "mild", "moderate", "severe"] | Annotated[int, Field(strict=True, ge=0, le=10)]
    """Severity in words, or on a numerical scale from 0 (none) to 10 (worst)."""


Histology = Annotated[str, _text_pattern(r"^[0-9]{4}/[0-9]$", _HISTOLOGY_SENTENCE)]
PrimarySite = Annotated[str, _text_pattern(r"^[A-Z][0-9]{2}(\.[0-9]{1,2})?$", _ICD_10_SENTENCE)]
