"""Courses of radiotherapy as prescribed last, and the targets that were treated. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from shared.contracts.treatment import (
    CourseEnd,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyStarted,
    Target,
)
from shared.kernel.fact import Fact


def current_targets(
    course: RadiotherapyStarted,
    changes: Sequence[PrescriptionChanged],
    end: CourseEnd | None,
    day_of: Callable[[Fact], date],
) -> tuple[Target, ...]:
    """Returns the targets of the last prescription of a course, then those that were treated before they were removed.

    `day_of` gives the imputed day of a change. The last prescription is the change with the latest day. Of several
    changes on one day the choice does not depend on the order in which they were recorded; the data query
    `two_prescriptions_on_one_day` asks which applies.
    """
    if not changes:
        return course.targets
    ordered = sorted(changes, key=lambda change: (day_of(change), change.model_dump_json()))
    prescriptions: Sequence[RadiotherapyStarted | PrescriptionChanged] = [course, *ordered]
    targets_by_id = {target.target_id: target for prescription in prescriptions for target in prescription.targets}
    prescribed = prescriptions[-1].targets
    prescribed_ids = {target.target_id for target in prescribed}
    removed_ids = (target_id for target_id in _treated_ids(end) if target_id in targets_by_id.keys() - prescribed_ids)
    return (*prescribed, *(targets_by_id[target_id] for target_id in removed_ids))


def delivered_dose(end: CourseEnd | None, target: Target) -> tuple[int, int] | None:
    """Returns the fractions and centigray that reached the target.

    None before the course has ended, or if a discontinued course does not name the target. A completed course delivered
    a target that it does not name as prescribed.
    """
    doses_by_target = {dose.target_id: (dose.fractions, dose.dose_cgy) for dose in end.delivered} if end else {}
    if target.target_id in doses_by_target:
        return doses_by_target[target.target_id]
    return (target.fractions, target.total_dose_cgy) if isinstance(end, RadiotherapyCompleted) else None


def _treated_ids(end: CourseEnd | None) -> list[str]:
    """Returns the targets that received any dose, in the order in which the end of the course names them."""
    delivered = end.delivered if end else ()
    return [delivery.target_id for delivery in delivered if delivery.fractions or delivery.dose_cgy]
