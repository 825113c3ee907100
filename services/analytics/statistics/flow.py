"""How many were screened, enrolled, treated, and where each enrolled participant is now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from services.analytics.cohort.cohort import Cohort, Selection
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participation_status import FOLLOW_UP_STATUS_LABELS, follow_up_status
from services.analytics.statistics.proportions import clopper_pearson, percent
from shared.contracts.enrollment import (
    ConsentSigned,
    ConsentWithdrawn,
    ParticipantEnrolled,
    ParticipantScreened,
    ScreeningFailed,
)
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp, ParticipantDied
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
)

DATED_FACT_TYPES = (
    ParticipantScreened,
    ScreeningFailed,
    ConsentSigned,
    ParticipantEnrolled,
    ConsentWithdrawn,
    RadiotherapyStarted,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    ParticipantDied,
    LostToFollowUp,
    FollowUpResumed,
)


def flow(cohort: Cohort, selection: Selection) -> dict[str, Any]:
    """Counts of participants; the stereotactic share in percent of the enrolled, with its exact 95 % interval.

    Each enrolled participant is in one of: died, withdrawn, lost, completed, in follow-up or awaiting treatment, the
    first of these that holds.
    """
    participants, cut = selection.participants(cohort), selection.cut
    enrolled = [participant for participant in participants if participant.first_fact(ParticipantEnrolled, cut)]
    stereotactic = sum(one.is_stereotactic(cohort.protocol, cut) for one in enrolled)
    statuses = Counter[str](follow_up_status(one, cohort.protocol, cut) for one in enrolled)
    return {
        **{name: _count_with_fact(participants, kind, selection) for name, kind in _COUNTED_FACT_TYPES.items()},
        "treated": sum(one.index_course(cut) is not None for one in enrolled),
        "stereotactic": stereotactic,
        **stereotactic_share(stereotactic, len(enrolled)),
        **{status: statuses[status] for status in FOLLOW_UP_STATUS_LABELS},
        "imputed_dates": sum(one.count_imputed_dates(cut, *DATED_FACT_TYPES) for one in participants),
    }


_COUNTED_FACT_TYPES = {
    "screened": ParticipantScreened,
    "screen_failed": ScreeningFailed,
    "consented": ConsentSigned,
    "enrolled": ParticipantEnrolled,
}


def _count_with_fact(participants: Sequence[Participant], fact_type: Any, selection: Selection) -> int:
    return sum(participant.first_fact(fact_type, selection.cut) is not None for participant in participants)


def stereotactic_share(count: int, total: int) -> dict[str, Any]:
    """Percent to one decimal, and the Clopper-Pearson interval; null where there is nobody."""
    if not total:
        return {"stereotactic_percent": None, "stereotactic_interval": None}
    lower, upper = clopper_pearson(count, total)
    return {"stereotactic_percent": percent(count / total), "stereotactic_interval": [percent(lower), percent(upper)]}
