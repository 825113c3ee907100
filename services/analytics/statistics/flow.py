"""How many were screened, enrolled, treated, and where each enrolled participant is now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from services.analytics.cohort import Cohort, Participant, Selection
from services.analytics.statistics.proportions import clopper_pearson, percent
from shared.contracts.enrollment import Consented, Enrolled, Screened, ScreenFailed, Withdrawn
from shared.contracts.followup import Died, FollowUpResumed, Lost
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
)
from shared.protocol.protocol import Protocol
from shared.protocol.schedule import visits

STANDINGS = ("in_follow_up", "awaiting_treatment", "completed", "died", "withdrawn", "lost")
USED = (
    Screened, ScreenFailed, Consented, Enrolled, Withdrawn, RadiotherapyStarted, PrescriptionChanged,
    RadiotherapyCompleted, RadiotherapyDiscontinued, Died, Lost, FollowUpResumed,
)  # fmt: skip


def flow(cohort: Cohort, selection: Selection) -> dict[str, Any]:
    """Counts of participants; the stereotactic share in percent of the enrolled, with its exact 95 % interval.

    Each enrolled participant is in one of: died, withdrawn, lost, completed, in follow-up or awaiting treatment, the
    first of these that holds.
    """
    chosen, cut = selection.of(cohort), selection.cut
    enrolled = [one for one in chosen if one.first(Enrolled, cut)]
    stereotactic = sum(one.is_stereotactic(cohort.protocol, cut) for one in enrolled)
    standings = Counter(_standing(one, cohort.protocol, selection) for one in enrolled)
    return {
        **{name: _stated(chosen, kind, selection) for name, kind in _COUNTED.items()},
        "treated": sum(one.index_course(cut) is not None for one in enrolled),
        "stereotactic": stereotactic,
        **share(stereotactic, len(enrolled)),
        **{standing: standings[standing] for standing in STANDINGS},
        "imputed_dates": sum(one.imputed_dates(cut, *USED) for one in chosen),
    }


_COUNTED = {"screened": Screened, "screen_failed": ScreenFailed, "consented": Consented, "enrolled": Enrolled}


def _stated(chosen: Sequence[Participant], kind: Any, selection: Selection) -> int:
    return sum(one.first(kind, selection.cut) is not None for one in chosen)


def share(part: int, whole: int) -> dict[str, Any]:
    """Percent to one decimal, and the Clopper-Pearson interval; null where there is nobody."""
    if not whole:
        return {"stereotactic_percent": None, "stereotactic_interval": None}
    lower, upper = clopper_pearson(part, whole)
    return {"stereotactic_percent": percent(part / whole), "stereotactic_interval": [percent(lower), percent(upper)]}


def _standing(one: Participant, protocol: Protocol, selection: Selection) -> str:
    cut = selection.cut
    if one.facts(Died, cut):
        return "died"
    if one.facts(Withdrawn, cut):
        return "withdrawn"
    if one.lost_on(cut):
        return "lost"
    if _has_completed(one, protocol, selection):
        return "completed"
    return "in_follow_up" if one.index_course(cut) else "awaiting_treatment"


def _has_completed(one: Participant, protocol: Protocol, selection: Selection) -> bool:
    """Has the last visit's slot ended?"""
    course = one.index_course(selection.cut)
    anchor = one.ended_on(course, selection.cut) if course else None
    return anchor is not None and visits(protocol.follow_up, anchor)[-1].slot_ends < selection.cut
