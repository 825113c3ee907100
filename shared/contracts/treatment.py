"""Facts of a participant's radiotherapy and systemic therapy. Doses are whole centigray."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StringConstraints, model_validator

from shared.contracts.streams import PARTICIPANT
from shared.kernel.fact import Fact, FactPart
from shared.kernel.ids import Code, Label, LocalId
from shared.kernel.partial_date import ClinicalDate
from shared.kernel.patterns import explain_pattern
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
Modality = Literal[
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
]
Technique = Literal[
    "2D", "3D-CRT", "IMRT", "VMAT", "stereotactic", "interstitial", "intracavitary", "other", "not_stated"
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
    """A volume and what is prescribed to it (ICRU: the PTV). A boost names the target that it rides on."""

    target_id: LocalId
    lesion_ids: Annotated[tuple[LocalId, ...], Field(max_length=50)] = ()
    label: Annotated[Label, Field(description="AAPM TG-263 names are suggested, not enforced")]
    modality: Modality
    technique: Technique
    delivery: Delivery
    fractions: Fractions
    dose_per_fraction_cgy: Annotated[int, Field(strict=True, gt=0, le=MAX_FRACTION_DOSE_CGY)]
    total_dose_cgy: Annotated[int, Field(strict=True, gt=0, le=MAX_TOTAL_DOSE_CGY)]
    prescription_isodose_percent: Annotated[int, Field(strict=True, ge=30, le=100)] | None = None
    boost_of: LocalId | None = None

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
    course_id: LocalId
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _require_targets_to_fit(self) -> _Prescription:
        _require_boosts_to_fit(self.targets)
        return self


@PARTICIPANT.fact("radiotherapy.started", on="started_on")
class RadiotherapyStarted(_Prescription):
    """A course begins, as prescribed. The end of the index course starts the follow-up schedule."""

    started_on: ClinicalDate
    intent: Intent
    index: StrictBool


@PARTICIPANT.fact("radiotherapy.prescription_changed", on="on")
class PrescriptionChanged(_Prescription):
    """The whole prescription as it reads from that day on."""

    on: ClinicalDate
    reason_code: Code


class DeliveredDose(FactPart, schema_name="Delivered"):
    target_id: LocalId
    fractions: Annotated[int, Field(strict=True, ge=0, le=80)]
    dose_cgy: Annotated[int, Field(strict=True, ge=0, le=MAX_TOTAL_DOSE_CGY)]


class _CourseEnded(Fact):
    course_id: LocalId
    ended_on: ClinicalDate
    delivered: Annotated[tuple[DeliveredDose, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _require_each_target_once(self) -> _CourseEnded:
        if len({delivered.target_id for delivered in self.delivered}) < len(self.delivered):
            raise ValueError("A target is named twice. Give once what was delivered to each target.")
        return self


@PARTICIPANT.fact("radiotherapy.completed", on="ended_on")
class RadiotherapyCompleted(_CourseEnded):
    """The last fraction was given. A target that `delivered` does not name was treated as prescribed."""


@PARTICIPANT.fact("radiotherapy.discontinued", on="ended_on")
class RadiotherapyDiscontinued(_CourseEnded):
    """The course ended early; `delivered` says how far it came."""

    reason_code: Literal["toxicity", "progression", "refusal", "death", "intercurrent_illness", "other"]


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
    name: Annotated[str, StringConstraints(strict=True, pattern=_AGENT)]
    dose: Annotated[float, Field(strict=True, gt=0, le=1_000_000)] | None = None
    unit: Annotated[str, StringConstraints(strict=True, pattern=_UNIT)] | None = None
    schedule: Annotated[str, StringConstraints(strict=True, pattern=_SCHEDULE)] | None = None


@PARTICIPANT.fact("systemic_therapy.started", on="on")
class SystemicTherapyStarted(Fact):
    line_id: LocalId
    on: ClinicalDate
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, max_length=20)]
    setting: Setting
    planned_cycles: Annotated[int, Field(strict=True, ge=1, le=200)] | None = None


@PARTICIPANT.fact("systemic_therapy.stopped", on="on")
class SystemicTherapyStopped(Fact):
    line_id: LocalId
    on: ClinicalDate
    reason_code: Code
    cycles_given: Annotated[int, Field(strict=True, ge=0, le=200)] | None = None
