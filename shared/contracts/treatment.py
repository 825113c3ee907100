"""Facts of a participant's radiotherapy and systemic therapy. Doses are whole centigray."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StringConstraints, model_validator

from shared.contracts.streams import PARTICIPANT
from shared.kernel.fact import Fact, FactPart
from shared.kernel.ids import Code, Label, LocalId
from shared.kernel.partial_date import ClinicalDate
from shared.kernel.patterns import explain_pattern
from shared.kernel.presentation import Presentation, id_presentation
from shared.protocol.protocol import Delivery

Intent = Literal[
    "definitive",
    "curative",
    "adjuvant",
    "neoadjuvant",
    "ablative",
    "ablative_metastasis",
    "consolidative",
    "palliative",
    "salvage",
    "not_stated",
]
Modality = Annotated[
    Literal[
        "photons",
        "electrons",
        "protons",
        "carbon_ions",
        "neutrons",
        "brachytherapy_hdr",
        "brachytherapy_pdr",
        "brachytherapy_ldr",
        "radiopharmaceutical",
        "other",
    ],
    Presentation(
        words={
            "brachytherapy_hdr": "Brachytherapy, high dose rate",
            "brachytherapy_pdr": "Brachytherapy, pulsed dose rate",
            "brachytherapy_ldr": "Brachytherapy, low dose rate",
        }
    ),
]
Technique = Annotated[
    Literal["2D", "3D-CRT", "IMRT", "VMAT", "stereotactic", "interstitial", "intracavitary", "other", "not_stated"],
    Presentation(words={"2D": "2D conventional", "3D-CRT": "3D conformal (3D-CRT)"}),
]
StudyReason = Annotated[
    Code,
    Presentation(label="Reason", help="Choose one, or type another without blanks.", offers="reasons", type_in=True),
]
Fractions = Annotated[int, Field(strict=True, ge=1, le=80)]
Setting = Literal[
    "curative",
    "neoadjuvant",
    "concurrent",
    "adjuvant",
    "maintenance",
    "palliative",
    "first_line",
    "later_line",
    "other",
]
MAX_FRACTION_DOSE_CGY, MAX_TOTAL_DOSE_CGY, MAX_SBRT_FRACTIONS = 3000, 12000, 8


class Target(FactPart):
    """A planning target volume (PTV) and the dose that is prescribed to it. Doses are in centigray (cGy): 100 cGy are 1
    Gy."""

    target_id: Annotated[LocalId, id_presentation("target", "T1")]
    """The site's id of the target, unique within the participant."""
    lesion_ids: Annotated[tuple[LocalId, ...], Field(max_length=50), Presentation(offers="lesions")] = ()
    """Registered lesions that the target contains."""
    label: Annotated[Label, Presentation(label="Name", offers="target_names", type_in=True)]
    """Name of the target. Names by AAPM TG-263 are suggested, not enforced."""
    modality: Modality
    """Kind of radiation."""
    technique: Technique
    """Technique of planning and delivery."""
    delivery: Delivery
    """Fractionation. SRS: one fraction. FSRT: fractionated stereotactic radiotherapy. SBRT: at most 8 fractions."""
    fractions: Fractions
    """Number of fractions that are prescribed."""
    dose_per_fraction_cgy: Annotated[
        int, Field(strict=True, gt=0, le=MAX_FRACTION_DOSE_CGY), Presentation(help="Dose of one fraction: 2 Gy = 200.")
    ]
    """Dose of one fraction, in cGy."""
    total_dose_cgy: Annotated[
        int,
        Field(strict=True, gt=0, le=MAX_TOTAL_DOSE_CGY),
        Presentation(product_of=("fractions", "dose_per_fraction_cgy")),
    ]
    """Total dose in cGy: fractions times dose per fraction."""
    prescription_isodose_percent: Annotated[int, Field(strict=True, ge=30, le=100)] | None = None
    """Isodose to which the dose is prescribed, in percent of the maximum dose."""
    boost_of: Annotated[
        LocalId | None,
        Presentation(help="For a simultaneous boost: id of the target of this course that is boosted."),
    ] = None
    """Target of the same course that this one is a simultaneous boost of."""

    @model_validator(mode="after")
    def _require_consistent_dose(self) -> Target:
        if self.fractions * self.dose_per_fraction_cgy != self.total_dose_cgy:
            raise ValueError(
                "The number of fractions times the dose per fraction is not the total dose. Check the three numbers."
            )
        if self.delivery == "SRS" and self.fractions != 1:
            raise ValueError("SRS is given in one fraction. Give FSRT as the delivery where there are several.")
        if self.delivery == "SBRT" and self.fractions > MAX_SBRT_FRACTIONS:
            raise ValueError(
                f"SBRT is given in at most {MAX_SBRT_FRACTIONS} fractions. Check the delivery and the fractions."
            )
        return self


def _require_boosts_to_fit(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    by_id = {target.target_id: target for target in targets}
    if len(by_id) < len(targets):
        raise ValueError("Two targets have the same target_id. Give each target of the course its own.")
    for target in targets:
        base = by_id.get(target.boost_of) if target.boost_of else None
        if target.boost_of and (base is None or base is target):
            raise ValueError(
                "boost_of names no other target of this course. Give the target_id of the target that is boosted."
            )
        if base and base.fractions != target.fractions:
            raise ValueError(
                "A boost and its target have different numbers of fractions. Give the same number for both."
            )
    return targets


class _Prescription(Fact):
    course_id: Annotated[LocalId, id_presentation("course", "RT1", "next_course")]
    """The site's id of the course, unique within the participant."""
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=50)]
    """Targets of the course, each with its prescription."""

    @model_validator(mode="after")
    def _require_targets_to_fit(self) -> _Prescription:
        _require_boosts_to_fit(self.targets)
        return self


@PARTICIPANT.fact("radiotherapy.started", on="started_on", heading="Start of radiotherapy")
class RadiotherapyStarted(_Prescription):
    """Start of a course of radiotherapy, with its prescription.

    The end of the index course is the anchor from which follow-up visits are counted.
    """

    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=50), Presentation(comes_last=True)]
    """Targets of the course, each with its prescription."""
    started_on: ClinicalDate
    """Day of the first fraction."""
    intent: Intent
    """Intent of the course."""
    index: Annotated[StrictBool, Presentation(label="Index course", help="Its end starts the schedule of follow-up.")]
    """True for the index course, which the study is about. A participant has one."""


@PARTICIPANT.fact("radiotherapy.prescription_changed", on="on", heading="Change of the prescription")
class PrescriptionChanged(_Prescription):
    """A change of the prescription during a course: the whole prescription that is in force from a day on."""

    course_id: Annotated[LocalId, Presentation(help="Course whose prescription changes.", offers="running_courses")]
    """The site's id of the course, unique within the participant."""
    on: Annotated[ClinicalDate, Presentation(label="In force from")]
    """Day of the first fraction by the new prescription."""
    reason_code: StudyReason
    """Reason for the change, as a code of the study."""


class DeliveredDose(FactPart, schema_name="Delivered"):
    """Dose that was delivered to one target."""

    target_id: Annotated[LocalId, Presentation(offers="targets", one_row_each=True)]
    """Target, by its id in the prescription."""
    fractions: Annotated[int, Field(strict=True, ge=0, le=80)]
    """Number of fractions that were delivered."""
    dose_cgy: Annotated[int, Field(strict=True, ge=0, le=MAX_TOTAL_DOSE_CGY)]
    """Total dose that was delivered, in cGy."""


class _CourseEnded(Fact):
    course_id: Annotated[LocalId, Presentation(help="Course that ended.", offers="running_courses")]
    """Course, by the id under which it was started."""
    ended_on: ClinicalDate
    """Day of the last fraction. For the index course it is the anchor of follow-up visits."""
    delivered: Annotated[
        tuple[DeliveredDose, ...],
        Field(max_length=50),
        Presentation(label="Delivered doses", help="A target that is left empty was treated as prescribed."),
    ] = ()
    """Doses delivered to the targets that were not treated as prescribed."""

    @model_validator(mode="after")
    def _require_each_target_once(self) -> _CourseEnded:
        if len({delivered.target_id for delivered in self.delivered}) < len(self.delivered):
            raise ValueError("A target is named twice. Give once what was delivered to each target.")
        return self


@PARTICIPANT.fact("radiotherapy.completed", on="ended_on", heading="End of radiotherapy as planned")
class RadiotherapyCompleted(_CourseEnded):
    """End of a course of radiotherapy as planned. A target that `delivered` does not name was treated as prescribed."""


@PARTICIPANT.fact("radiotherapy.discontinued", on="ended_on", heading="Early end of radiotherapy")
class RadiotherapyDiscontinued(_CourseEnded):
    """Early end of a course of radiotherapy, with the doses that were delivered until then."""

    delivered: Annotated[
        tuple[DeliveredDose, ...],
        Field(max_length=50),
        Presentation(
            label="Delivered doses",
            help="The doses until the end. A target that is left empty got as much as the course had given.",
        ),
    ] = ()
    """Doses delivered to the targets that were not treated as prescribed."""
    reason_code: Annotated[
        Literal["toxicity", "progression", "refusal", "death", "intercurrent_illness", "other"],
        Presentation(label="Reason"),
    ]
    """Reason for the early end."""


CourseEnd = RadiotherapyCompleted | RadiotherapyDiscontinued
"""The end of a course of radiotherapy, as planned or not."""


_AGENT = explain_pattern(
    r"^[A-Za-z0-9][A-Za-z0-9 ()/+.,-]{0,63}$",
    "Give 1 to 64 letters without accents, digits, blanks and ( ) / + . , -. Begin with a letter or a digit.",
)
_UNIT = explain_pattern(
    r"^[A-Za-z0-9/%.*^-]{1,16}$",
    "Give 1 to 16 characters without blanks: letters without accents, digits, and / % . * ^ -, such as mg/m^2.",
)
_SCHEDULE = explain_pattern(
    r"^[A-Za-z0-9 /,.;:+()-]{1,64}$",
    "Give 1 to 64 characters: letters without accents, digits, blanks, and / , . ; : + ( ) -, such as every 3 weeks.",
)


class Agent(FactPart):
    """One drug of a line of systemic therapy."""

    name: Annotated[str, StringConstraints(strict=True, pattern=_AGENT)]
    """Name of the drug."""
    dose: Annotated[
        Annotated[float, Field(strict=True, gt=0, le=1_000_000)] | None, Presentation(help="Amount of one dose.")
    ] = None
    """Amount of one dose, in `unit`."""
    unit: Annotated[str, StringConstraints(strict=True, pattern=_UNIT)] | None = None
    """Unit of the dose, such as mg/m^2."""
    schedule: Annotated[str, StringConstraints(strict=True, pattern=_SCHEDULE)] | None = None
    """Schedule of the doses, such as every 3 weeks."""


@PARTICIPANT.fact("systemic_therapy.started", on="on", heading="Start of systemic therapy")
class SystemicTherapyStarted(Fact):
    """Start of a line of systemic therapy."""

    line_id: Annotated[LocalId, id_presentation("line of therapy", "S1", "next_line")]
    """The site's id of the line, unique within the participant."""
    on: Annotated[ClinicalDate, Presentation(label="Started on")]
    """Day of the first dose."""
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, max_length=20), Presentation(label="Drugs")]
    """Drugs of the line."""
    setting: Setting
    """Setting in which the line is given."""
    planned_cycles: Annotated[int, Field(strict=True, ge=1, le=200)] | None = None
    """Number of cycles that are planned."""


@PARTICIPANT.fact("systemic_therapy.stopped", on="on", heading="End of systemic therapy")
class SystemicTherapyStopped(Fact):
    """End of a line of systemic therapy."""

    line_id: Annotated[LocalId, Presentation(label="Line of therapy", help="Line that ended.", offers="running_lines")]
    """Line, by the id under which it was started."""
    on: Annotated[ClinicalDate, Presentation(label="Stopped on")]
    """Day on which the line ended."""
    reason_code: StudyReason
    """Reason for the end, as a code of the study."""
    cycles_given: Annotated[int, Field(strict=True, ge=0, le=200)] | None = None
    """Number of cycles that were given."""
