"""Facts of a participant from screening to the baseline assessment, and of the end of participation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StringConstraints, model_validator

from shared.contracts.streams import PARTICIPANT
from shared.kernel.fact import Fact, FactPart
from shared.kernel.ids import Code, LocalId, ParticipantId, SiteId
from shared.kernel.partial_date import ClinicalDate
from shared.kernel.patterns import ID_SENTENCE, explain_pattern
from shared.kernel.sealed_text import SealedString

Laterality = Literal["left", "right", "bilateral", "midline", "not_applicable"]
BodySite = Literal[
    "brain",
    "neck",
    "thyroid",
    "bone",
    "spine",
    "rib",
    "skull_base",
    "lung",
    "mediastinum",
    "pleura",
    "liver",
    "adrenal",
    "lymph_node",
    "soft_tissue",
    "skin",
    "abdomen",
    "pelvis",
    "other",
]
MetastasisSite = Literal[
    "lung", "bone", "brain", "liver", "lymph_node_distant", "adrenal", "pleura", "skin", "soft_tissue", "other"
]
CriterionAnswer = Literal["met", "not_met", "not_assessed", "waived"]


class NotReported(FactPart):
    """Unknown is a value: it is said, with the reason why."""

    not_reported: SealedString


@PARTICIPANT.fact("participant.screened", on="screened_on")
class ParticipantScreened(Fact, schema_name="Screened"):
    """A person is looked at for the study. `met` means that a criterion does not stand in the way."""

    site_id: SiteId
    screened_on: ClinicalDate
    sex: Literal["female", "male", "other", "unknown"]
    birth_year: Annotated[int, Field(strict=True, ge=1900, le=2100)]
    criteria: Annotated[
        dict[Code, CriterionAnswer], Field(max_length=200, description="an answer for every criterion, by id")
    ]
    waivers: Annotated[
        dict[Code, SealedString], Field(max_length=200, default_factory=dict, description="why one was waived")
    ]
    local_reference: Annotated[
        SealedString | None, Field(description="the site's own number, seen by that site only")
    ] = None


@PARTICIPANT.fact("participant.screen_failed", on="failed_on")
class ScreeningFailed(Fact, schema_name="ScreenFailed"):
    failed_on: ClinicalDate
    reason_codes: Annotated[
        tuple[Code, ...], Field(min_length=1, max_length=50, description="a criterion's id, or refused, died, other")
    ]


class ConsentOptions(FactPart):
    data_use: StrictBool = True
    registry: StrictBool = False
    recontact: StrictBool = False


@PARTICIPANT.fact("participant.consented", on="signed_on")
class ConsentSigned(Fact, schema_name="Consented"):
    """Consent, or renewed consent, in writing."""

    signed_on: ClinicalDate
    form_version: Code
    options: ConsentOptions = ConsentOptions()


@PARTICIPANT.fact("participant.enrolled", on="enrolled_on")
class ParticipantEnrolled(Fact, schema_name="Enrolled"):
    enrolled_on: ClinicalDate


def _edition_as_text(value: object) -> object:
    return str(value) if type(value) is int else value


def _text_pattern(pattern: str, sentence: str) -> StringConstraints:
    return StringConstraints(strict=True, pattern=explain_pattern(pattern, sentence))


_PREFIX = "(c|p|yc|yp|r)?"
_PREFIX_SENTENCE = "with the prefix c, p, yc, yp or r where it has one"
_T_SENTENCE = f"Give TX, T0, Tis, T1, T1a, T1b, T2, T3, T3a, T3b, T4, T4a or T4b, {_PREFIX_SENTENCE}."
_N_SENTENCE = f"Give NX, N0, N0a, N0b, N1, N1a or N1b, {_PREFIX_SENTENCE}."
TCategory = Annotated[str, _text_pattern(f"^{_PREFIX}T(X|0|is|1[ab]?|2|3[ab]?|4[ab]?)$", _T_SENTENCE)]
NCategory = Annotated[str, _text_pattern(f"^{_PREFIX}N(X|0[ab]?|1[ab]?)$", _N_SENTENCE)]
MCategory = Annotated[str, _text_pattern("^(c?M0|c?M1|pM1)$", "Give M0, cM0, M1, cM1 or pM1.")]


class Tnm(FactPart):
    """AJCC/UICC categories as staged, with their prefix; the stage group is derived, never stated."""

    t: TCategory | NotReported
    n: NCategory | NotReported
    m: MCategory | NotReported
    edition: Annotated[Literal["6", "7", "8", "9"], BeforeValidator(_edition_as_text)] = "8"


class Performance(FactPart):
    """Performance status as measured: Karnofsky 0 to 100 by tens, or ECOG 0 to 5. The other scale is never entered."""

    scale: Literal["KPS", "ECOG"]
    value: Annotated[int, Field(strict=True, ge=0, le=100)]

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
    gene: Annotated[str, _text_pattern(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", ID_SENTENCE)]
    alteration: Annotated[str, _text_pattern(r"^[A-Za-z0-9_.:>*+()/, -]{1,100}$", _ALTERATION_SENTENCE)] | None = None
    origin: Literal["tumour", "germline", "cfDNA", "not_stated"] = "tumour"
    result: (
        Literal["pathogenic", "likely_pathogenic", "vus", "detected", "not_detected", "not_tested", "failed"]
        | NotReported
    )


class SymptomAtBaseline(FactPart):
    symptom: Code
    severity: Literal["none", "mild", "moderate", "severe"] | Annotated[int, Field(strict=True, ge=0, le=10)]


@PARTICIPANT.fact("participant.baseline_recorded", on="assessed_on")
class BaselineRecorded(Fact):
    """Disease and person as they were before treatment."""

    assessed_on: ClinicalDate
    diagnosed_on: ClinicalDate
    histology: Annotated[str, _text_pattern(r"^[0-9]{4}/[0-9]$", _HISTOLOGY_SENTENCE), Field(description="ICD-O-3")]
    primary_site: Annotated[
        str, _text_pattern(r"^[A-Z][0-9]{2}(\.[0-9]{1,2})?$", _ICD_10_SENTENCE), Field(description="ICD-10")
    ]
    tnm: Tnm
    performance: Performance | NotReported
    metastatic_sites: Annotated[tuple[MetastasisSite, ...], Field(max_length=20)] = ()
    molecular_findings: Annotated[tuple[MolecularFinding, ...], Field(max_length=100)] | NotReported = ()
    symptoms: Annotated[tuple[SymptomAtBaseline, ...], Field(max_length=50)] = ()


@PARTICIPANT.fact("participant.withdrawn", on="withdrawn_on")
class ConsentWithdrawn(Fact, schema_name="Withdrawn"):
    """Consent is taken back: for further follow-up, or for any use of the data."""

    withdrawn_on: ClinicalDate
    scope: Literal["follow_up", "data_use"]
    reason: SealedString | None = None


@PARTICIPANT.fact("participant.transferred", on="on", by="administrator site")
class ParticipantTransferred(Fact, schema_name="Transferred"):
    """The participant goes on at another site, which alone sees the record from then on."""

    to_site: SiteId
    on: ClinicalDate


@PARTICIPANT.fact("participant.voided")
class ParticipantVoided(Fact, schema_name="Voided"):
    """The record is a mistake. It leaves every figure; its history stays."""

    reason: Literal["entered_in_error", "duplicate"]
    duplicate_of: ParticipantId | None = None


@PARTICIPANT.fact("lesion.registered", on="found_on")
class LesionRegistered(Fact):
    """A tumour site gets its id before anything happens to it."""

    lesion_id: LocalId
    kind: Literal["primary", "node", "metastasis"]
    body_site: BodySite
    laterality: Laterality | None = None
    found_on: ClinicalDate
    size_mm: Annotated[float, Field(strict=True, gt=0, le=1000)] | None = None


ProcedureKind = Literal[
    "biopsy",
    "surgery",
    "thyroidectomy",
    "neck_dissection",
    "metastasectomy",
    "tracheostomy",
    "gastrostomy",
    "bougienage",
    "stenting",
    "bronchoscopy",
    "embolisation",
    "other",
]


@PARTICIPANT.fact("procedure.performed", on="performed_on")
class ProcedurePerformed(Fact):
    performed_on: ClinicalDate
    kind: ProcedureKind
    body_site: BodySite
    detail: SealedString | None = None
