"""Prescribed targets as rows: the prescription, its biologically effective dose, and the delivered dose.

Levels of an integrated boost are rows of their own. BED and EQD2 are those of the prescription. They are null for dose
that is given slowly (low and pulsed dose rate, radiopharmaceuticals) or whose biological weight is not stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from services.analytics.cohort.participant import Participant
from services.analytics.cohort.treatment import delivered_dose
from services.analytics.statistics.dose import (
    ALPHA_BETA_CNS,
    ALPHA_BETA_LATE,
    ALPHA_BETA_TUMOR,
    LINEAR_QUADRATIC_MODALITIES,
    bed,
    eqd2,
    gray,
)
from shared.contracts.treatment import CourseEnd, RadiotherapyStarted, Target

_CNS_LABELS = ("brain", "spinalcord")


class TargetRow(BaseModel):
    """A target as prescribed last. Doses in Gy, isodose in percent.

    `bed_…` and `eqd2_…` are for an α/β of 10 and 3 Gy, and of 2 Gy where the target treats the central nervous system;
    elsewhere `bed_2` and `eqd2_2` are left out. `fractions_delivered` and `dose_delivered_gy` are null before the
    course has ended, or if its end does not name the target.
    """

    model_config = ConfigDict(frozen=True)

    participant_id: str
    site_id: str
    course_id: str
    index: bool
    intent: str
    started_on: str
    ended_on: str | None
    target_id: str
    label: str
    modality: str
    technique: str
    delivery: str
    fractions: int
    dose_per_fraction_gy: float
    total_dose_gy: float
    prescription_isodose_percent: int | None
    boost_of: str | None
    bed_10: float | None
    bed_3: float | None
    bed_2: float | None = None
    eqd2_10: float | None
    eqd2_3: float | None
    eqd2_2: float | None = None
    fractions_delivered: int | None
    dose_delivered_gy: float | None


def target_rows(participant: Participant, cut_date: date) -> Iterator[TargetRow]:
    """Yields the targets of every course that started by `cut_date`, by course and as prescribed there last."""
    for course in sorted(
        participant.facts(RadiotherapyStarted, cut_date),
        key=lambda start: (participant.day(start), start.course_id),
    ):
        end = participant.course_end(course, cut_date)
        for target in participant.targets(course, cut_date):
            yield _target_row(participant, course, end, target)


def _target_row(
    participant: Participant, course: RadiotherapyStarted, end: CourseEnd | None, target: Target
) -> TargetRow:
    fractions_delivered, dose_delivered = delivered_dose(end, target) or (None, None)
    dose = gray(target.dose_per_fraction_cgy)
    return TargetRow(
        participant_id=participant.participant_id,
        site_id=participant.site_id,
        course_id=course.course_id,
        index=course.index,
        intent=course.intent,
        started_on=str(course.started_on),
        ended_on=str(end.ended_on) if end else None,
        target_id=target.target_id,
        label=target.label,
        modality=target.modality,
        technique=target.technique,
        delivery=target.delivery,
        fractions=target.fractions,
        dose_per_fraction_gy=float(dose),
        total_dose_gy=float(gray(target.total_dose_cgy)),
        prescription_isodose_percent=target.prescription_isodose_percent,
        boost_of=target.boost_of,
        fractions_delivered=fractions_delivered,
        dose_delivered_gy=None if dose_delivered is None else float(gray(dose_delivered)),
        bed_10=_effective_dose(bed, target, ALPHA_BETA_TUMOR),
        bed_3=_effective_dose(bed, target, ALPHA_BETA_LATE),
        eqd2_10=_effective_dose(eqd2, target, ALPHA_BETA_TUMOR),
        eqd2_3=_effective_dose(eqd2, target, ALPHA_BETA_LATE),
        **_cns_doses(participant, target),
    )


def _cns_doses(participant: Participant, target: Target) -> dict[str, float | None]:
    if not _treats_cns(participant, target):
        return {}
    return {
        "bed_2": _effective_dose(bed, target, ALPHA_BETA_CNS),
        "eqd2_2": _effective_dose(eqd2, target, ALPHA_BETA_CNS),
    }


def _effective_dose(
    formula: Callable[[int, Decimal, Decimal], Decimal], target: Target, alpha_beta: Decimal
) -> float | None:
    if target.modality not in LINEAR_QUADRATIC_MODALITIES:
        return None
    return float(formula(target.fractions, gray(target.dose_per_fraction_cgy), alpha_beta))


def _treats_cns(participant: Participant, target: Target) -> bool:
    """Returns whether a target treats the central nervous system: by its lesions, or by its label if it names none.

    A vertebra is bone.
    """
    if not target.lesion_ids:
        return any(part in target.label.casefold() for part in _CNS_LABELS)
    return "brain" in {participant.lesions[name].body_site for name in target.lesion_ids if name in participant.lesions}
