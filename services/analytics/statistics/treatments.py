"""Every prescribed target with its doses, one row each; levels of an integrated boost are rows of their own.

BED and EQD2 are those of the prescription; beside them stands what was delivered. They are null for dose that is given
slowly (low and pulsed dose rate, radiopharmaceuticals) or whose biological weight nobody stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.analytics.cohort import Cohort, CourseEnd, Participant, Selection
from services.analytics.statistics.dose import CNS, LATE, TUMOUR, bed, eqd2, gray
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    Target,
)

_ACUTE = {"photons", "electrons", "protons", "brachytherapy_hdr"}
"""Modalities whose fractions are given at once, in doses that compare to those of photons: where the formulas hold."""
_CNS_LABELS = ("brain", "spinalcord")
_ALPHA_BETA = (("10", TUMOUR), ("3", LATE))


def treatments(cohort: Cohort, selection: Selection) -> dict[str, Any]:
    """Rows of targets as prescribed last, and by delivery the participants and targets. Doses in Gy."""
    chosen = selection.of(cohort)
    rows = [row for one in chosen for row in _courses(one, selection)]
    deliveries = sorted({row["delivery"] for row in rows})
    dated = (RadiotherapyStarted, PrescriptionChanged, RadiotherapyCompleted, RadiotherapyDiscontinued)
    return {
        "targets": rows,
        "deliveries": [_delivery(name, rows) for name in deliveries],
        "imputed_dates": sum(one.imputed_dates(selection.cut, *dated) for one in chosen),
    }


def _delivery(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    of_it = [row for row in rows if row["delivery"] == name]
    return {"delivery": name, "participants": len({row["participant_id"] for row in of_it}), "targets": len(of_it)}


def _courses(one: Participant, selection: Selection) -> Iterator[dict[str, Any]]:
    for course in sorted(
        one.facts(RadiotherapyStarted, selection.cut), key=lambda each: (one.day(each), each.course_id)
    ):
        end = one.end(course, selection.cut)
        shared = {
            "participant_id": one.participant_id,
            "site_id": one.site_id,
            "course_id": course.course_id,
            "index": course.index,
            "intent": course.intent,
            "started_on": str(course.started_on),
            "ended_on": str(end.ended_on) if end else None,
        }
        for target in one.targets(course, selection.cut):
            yield {**shared, **_target(one, target), **_delivered(end, target)}


def delivered(end: CourseEnd | None, target: Target) -> tuple[int, int] | None:
    """Fractions and centigray that reached the target; None while the course goes on, or where nobody said.

    What a completed course does not name: as prescribed.
    """
    said = {each.target_id: (each.fractions, each.dose_cgy) for each in end.delivered} if end else {}
    if target.target_id in said:
        return said[target.target_id]
    return (target.fractions, target.total_dose_cgy) if isinstance(end, RadiotherapyCompleted) else None


def _delivered(end: CourseEnd | None, target: Target) -> dict[str, Any]:
    fractions, dose = delivered(end, target) or (None, None)
    return {"fractions_delivered": fractions, "dose_delivered_gy": None if dose is None else float(gray(dose))}


def _is_cns(one: Participant, target: Target) -> bool:
    """Does it treat the brain? A vertebra is bone; a target that names no lesion is taken by its label."""
    if not target.lesion_ids:
        return any(part in target.label.casefold() for part in _CNS_LABELS)
    return "brain" in {one.lesions[name].body_site for name in target.lesion_ids if name in one.lesions}


def _target(one: Participant, target: Target) -> dict[str, Any]:
    fractions, dose, acute = target.fractions, gray(target.dose_per_fraction_cgy), target.modality in _ACUTE
    alpha_beta = (*_ALPHA_BETA, ("2", CNS)) if _is_cns(one, target) else _ALPHA_BETA
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
        **{f"bed_{name}": float(bed(fractions, dose, ratio)) if acute else None for name, ratio in alpha_beta},
        **{f"eqd2_{name}": float(eqd2(fractions, dose, ratio)) if acute else None for name, ratio in alpha_beta},
    }
