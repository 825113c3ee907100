"""Facts of a participant from screening to the baseline assessment, and of the end of participation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from shared.contracts.baseline import (
    Histology,
    MetastasisSite,
    MolecularFinding,
    NotReported,
    Performance,
    PrimarySite,
    SymptomAtBaseline,
    Tnm,
)
from shared.contracts.streams import PARTICIPANT
from shared.kernel.fact import Fact, FactPart, add_no_member
from shared.kernel.ids import Code, LocalId, ParticipantId, SiteId
from shared.kernel.partial_date import ClinicalDate
from shared.kernel.presentation import Presentation, id_presentation
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
CriterionAnswer = Literal["met", "not_met", "not_assessed", "waived"]


@PARTICIPANT.fact("participant.screened", on="screened_on", heading="Screening")
class ParticipantScreened(Fact, schema_name="Screened"):
    """Screening of a person for eligibility by the protocol's criteria. A participant's first fact.

    `met` means that a criterion does not stand in the way: an exclusion criterion is met if it is absent.
    """

    site_id: Annotated[SiteId, Presentation(help="Site that screens the participant.", offers="sites")]
    """Site that screens the participant, by its id in the study."""
    screened_on: ClinicalDate
    """Day of the screening."""
    sex: Literal["female", "male", "other", "unknown"]
    """Sex of the participant."""
    birth_year: Annotated[int, Field(strict=True, ge=1900, le=2100)]
    """Year of birth. Nothing more exact is accepted."""
    criteria: Annotated[
        dict[Code, CriterionAnswer],
        Field(max_length=200),
        Presentation(help="Answer every criterion of the protocol.", offers="criteria"),
    ]
    """Answer for every criterion of the protocol, by the criterion's id."""
    waivers: Annotated[
        dict[Code, SealedString], Field(max_length=200, default_factory=dict), Presentation(beside="criteria")
    ]
    """Reason for each criterion that was waived, by the criterion's id. Encrypted: only the site reads it."""
    local_reference: Annotated[SealedString | None, Presentation(label="Number at the site")] = None
    """Number of the participant at the site, such as a hospital's study number. Encrypted: only the site reads it."""


@PARTICIPANT.fact("participant.screen_failed", on="failed_on")
class ScreeningFailed(Fact, schema_name="ScreenFailed"):
    """Screening failure: the person was screened and does not take part."""

    failed_on: ClinicalDate
    """Day on which the screening failure was established."""
    reason_codes: Annotated[
        tuple[Code, ...],
        Field(min_length=1, max_length=50),
        Presentation(
            label="Reasons", help="Criteria that were not fulfilled, or another reason.", offers="failure_reasons"
        ),
    ]
    """Ids of the criteria that were not fulfilled, or `refused`, `died`, `other`."""


class ConsentOptions(FactPart):
    """Options of the consent form that the participant agreed to."""

    data_use: Annotated[StrictBool, Presentation(label="Use of the data for research")] = True
    """The data may be used for research."""
    registry: Annotated[StrictBool, Presentation(label="Requests to registries")] = False
    """Data about the participant may be requested from registries, such as the vital status."""
    recontact: Annotated[StrictBool, Presentation(label="Contact again")] = False
    """The participant may be contacted again."""


@PARTICIPANT.fact("participant.consented", on="signed_on", heading="Informed consent")
class ConsentSigned(Fact, schema_name="Consented"):
    """Written informed consent, or its renewal on a later version of the form."""

    signed_on: ClinicalDate
    """Day on which the participant signed."""
    form_version: Annotated[Code, Presentation(label="Version of the consent form", offers="consent_versions")]
    """Version of the consent form, as the protocol names it."""
    options: ConsentOptions = ConsentOptions()
    """Options of the form that the participant agreed to."""


@PARTICIPANT.fact("participant.enrolled", on="enrolled_on")
class ParticipantEnrolled(Fact, schema_name="Enrolled"):
    """Enrollment: the participant is eligible, has consented, and is included in the study."""

    enrolled_on: ClinicalDate
    """Day of enrollment."""


@PARTICIPANT.fact("participant.baseline_recorded", on="assessed_on")
class BaselineRecorded(Fact):
    """Baseline assessment: disease and participant before treatment."""

    assessed_on: ClinicalDate
    """Day of the assessment."""
    diagnosed_on: ClinicalDate
    """Day of the diagnosis."""
    histology: Histology
    """Morphology code of ICD-O-3, such as 8140/3."""
    primary_site: PrimarySite
    """Site of the primary tumor, as a code of ICD-10, such as C34.1."""
    tnm: Annotated[Tnm, Presentation(label="TNM")]
    """Stage at the assessment."""
    performance: Annotated[Performance | NotReported, Presentation(label="Performance status")]
    """Performance status, or why it is not known."""
    metastatic_sites: Annotated[tuple[MetastasisSite, ...], Field(max_length=20)] = ()
    """Organs with metastases."""
    molecular_findings: Annotated[tuple[MolecularFinding, ...], Field(max_length=100)] | NotReported = ()
    """Results of molecular tests, or why they are not known."""
    symptoms: Annotated[tuple[SymptomAtBaseline, ...], Field(max_length=50)] = ()
    """Symptoms, each with its severity."""


@PARTICIPANT.fact("participant.withdrawn", on="withdrawn_on", heading="Withdrawal of consent")
class ConsentWithdrawn(Fact, schema_name="Withdrawn"):
    """Withdrawal of consent by the participant."""

    withdrawn_on: ClinicalDate
    """Day of the withdrawal."""
    scope: Annotated[
        Literal["follow_up", "data_use"],
        Presentation(
            label="What is withdrawn",
            help="What the participant no longer agrees to.",
            words={
                "follow_up": "Follow-up: no further contacts; the data up to that day are still analyzed",
                "data_use": "All use of the data: the participant leaves every analysis",
            },
        ),
    ]
    """`follow_up`: no further follow-up; the data up to that day are still analyzed. `data_use`: no use of the data at
    all; the participant leaves every analysis."""
    reason: Annotated[SealedString | None, Presentation(lines=4)] = None
    """Reason, if the participant gave one. Encrypted: only the site reads it."""


@PARTICIPANT.fact("participant.transferred", on="on", by="administrator site", heading="Transfer to another site")
class ParticipantTransferred(Fact, schema_name="Transferred"):
    """Transfer to another site of the study, which follows the participant from then on and alone reads the record."""

    to_site: Annotated[
        SiteId,
        Presentation(
            label="New site",
            help="Site that follows the participant from then on. Yours no longer sees this participant.",
            offers="other_sites",
        ),
    ]
    """Site to which the participant moves, by its id in the study."""
    on: Annotated[ClinicalDate, Presentation(label="Transferred on")]
    """Day from which the other site follows the participant."""


@PARTICIPANT.fact("participant.voided", heading="Voiding of the whole record")
class ParticipantVoided(Fact, schema_name="Voided"):
    """The whole record is void, as a mistake. The participant leaves every analysis; the audit trail stays."""

    reason: Literal["entered_in_error", "duplicate"]
    """`entered_in_error`: there is no such participant. `duplicate`: the participant has another record."""
    duplicate_of: Annotated[
        ParticipantId | None, Presentation(help="For a duplicate: number of the record that stays.")
    ] = None
    """Number of the record that stays, for a duplicate."""


@PARTICIPANT.fact("lesion.registered", on="found_on", heading="Tumor lesion")
class LesionRegistered(Fact):
    """Registration of a tumor lesion, so that later facts can name it."""

    lesion_id: Annotated[LocalId, id_presentation("lesion", "L1", "next_lesion")]
    """The site's id of the lesion, unique within the participant."""
    kind: Annotated[
        Literal["primary", "node", "metastasis"], Presentation(words={"primary": "Primary tumor", "node": "Lymph node"})
    ]
    """Primary tumor, lymph node or distant metastasis."""
    body_site: BodySite
    """Part of the body in which the lesion is."""
    laterality: Laterality | None = None
    """Side of the body."""
    found_on: ClinicalDate
    """Day on which the lesion was found."""
    size_mm: Annotated[float, Field(strict=True, gt=0, le=1000)] | None = None
    """Largest diameter, in millimeters."""


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


@PARTICIPANT.fact("procedure.performed", heading="Procedure", on="performed_on", version=2, upcasts={1: add_no_member})
class ProcedurePerformed(Fact):
    """A procedure besides radiotherapy and systemic therapy, such as surgery or a biopsy."""

    performed_on: ClinicalDate
    """Day of the procedure."""
    kind: ProcedureKind
    """Kind of procedure."""
    body_site: BodySite
    """Part of the body that was operated on or examined."""
    lesion_ids: Annotated[tuple[LocalId, ...], Field(max_length=50), Presentation(offers="lesions")] = ()
    """Lesions that the procedure treats."""
    detail: Annotated[SealedString | None, Presentation(lines=4)] = None
    """Details in the site's words. Encrypted: only the site reads it."""
