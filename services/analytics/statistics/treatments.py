"""Every prescribed target with its doses, one row each; levels of an integrated boost are rows of their own.

BED and EQD2 are those of the prescription; beside them stands what was delivered. They are null for dose that is given
slowly (low and pulsed dose rate, radiopharmaceuticals) or whose biological weight nobody stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.analytics.cohort.cohort import Cohort, Selection
from services.analytics.cohort.episodes import CourseEnd
from services.analytics.cohort.participant import Participant
from services.analytics.statistics.dose import ALPHA_BETA_CNS, ALPHA_BETA_LATE, ALPHA_BETA_TUMOR, bed, eqd2, gray
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    Target,
)

_LQ_MODALITIES = {"photons", "electrons", "protons", "brachytherapy_hdr"}
"""Modalities whose fractions are given at once, in doses that compare to those of photons: where the formulas hold."""
_CNS_LABELS = ("brain", "spinalcord")
_ALPHA_BETA = (("10", ALPHA_BETA_TUMOR), ("3", ALPHA_BETA_LATE))


def treatments(cohort: Cohort, selection: Selection) -> dict[str, Any]:
    """Rows of targets as prescribed last, and by delivery the participants and targets. Doses in Gy."""
    participants = selection.participants(cohort)
    rows = [row for participant in participants for row in _course_rows(participant, selection)]
    deliveries = sorted({row["delivery"] for row in rows})
    dated_fact_types = (RadiotherapyStarted, PrescriptionChanged, RadiotherapyCompleted, RadiotherapyDiscontinued)
    return {
        "targets": rows,
        "deliveries": [_count_delivery(name, rows) for name in deliveries],
        "imputed_dates": sum(one.count_imputed_dates(selection.cut, *dated_fact_types) for one in participants),
    }


def _count_delivery(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    delivery_rows = [row for row in rows if row["delivery"] == name]
    return {
        "delivery": name,
        "participants": len({row["participant_id"] for row in delivery_rows}),
        "targets": len(delivery_rows),
    }


def _course_rows(participant: Participant, selection: Selection) -> Iterator[dict[str, Any]]:
    for course in sorted(
        participant.facts(RadiotherapyStarted, selection.cut),
        key=lambda start: (participant.day(start), start.course_id),
    ):
        end = participant.course_end(course, selection.cut)
        shared = {
            "participant_id": participant.participant_id,
            "site_id": participant.site_id,
            "course_id": course.course_id,
            "index": course.index,
            "intent": course.intent,
            "started_on": str(course.started_on),
            "ended_on": str(end.ended_on) if end else None,
        }
        for target in participant.targets(course, selection.cut):
            yield {**shared, **_target_columns(participant, target), **_delivered_columns(end, target)}


def delivered_dose(end: CourseEnd | None, target: Target) -> tuple[int, int] | None:
    """Fractions and centigray that reached the target; None while the course goes on, or where nobody said.

    What a completed course does not name: as prescribed.
    """
    doses_by_target = {dose.target_id: (dose.fractions, dose.dose_cgy) for dose in end.delivered} if end else {}
    if target.target_id in doses_by_target:
        return doses_by_target[target.target_id]
    return (target.fractions, target.total_dose_cgy) if isinstance(end, RadiotherapyCompleted) else None


def _delivered_columns(end: CourseEnd | None, target: Target) -> dict[str, Any]:
    fractions, dose = delivered_dose(end, target) or (None, None)
    return {"fractions_delivered": fractions, "dose_delivered_gy": None if dose is None else float(gray(dose))}


def _is_cns(participant: Participant, target: Target) -> bool:
    """Does it treat the brain? A vertebra is bone; a target that names no lesion is taken by its label."""
    if not target.lesion_ids:
        return any(part in target.label.casefold() for part in _CNS_LABELS)
    return "brain" in {participant.lesions[name].body_site for name in target.lesion_ids if name in participant.lesions}


def _target_columns(participant: Participant, target: Target) -> dict[str, Any]:
    fractions, dose, is_lq_valid = (
        target.fractions,
        gray(target.dose_per_fraction_cgy),
        target.modality in _LQ_MODALITIES,
    )
    alpha_beta = (*_ALPHA_BETA, ("2", ALPHA_BETA_CNS)) if _is_cns(participant, target) else _ALPHA_BETA
    return {
        "target_id": target.target_id,
        "label": target.label,
        "modality": target.modality,
        "technique": target.technique,
        "delivery": target.delivery,
        "fractions": fractions,
        "dose_per_fraction_gy": float(dose),
        "total_dose_gy": float(gray(target.total_dose_cgy)),
        "prescription_isodose_percent": target.prescription_isodose_percent,
        "boost_of": target.boost_of,
        **{f"bed_{name}": float(bed(fractions, dose, ratio)) if is_lq_valid else None for name, ratio in alpha_beta},
        **{f"eqd2_{name}": float(eqd2(fractions, dose, ratio)) if is_lq_valid else None for name, ratio in alpha_beta},
    }
