"""Enrolment over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from services.analytics.cohort.cohort import Cohort, Selection
from services.analytics.cohort.participant import Participant
from shared.contracts.enrollment import ParticipantEnrolled, ParticipantScreened


def accrual(cohort: Cohort, selection: Selection) -> dict[str, Any]:
    """By group, the cumulative number enrolled on every day on which somebody was; and what the protocol plans."""
    target = cohort.protocol.accrual_target
    enrolled = [
        participant
        for participant in selection.participants(cohort)
        if participant.first_fact(ParticipantEnrolled, selection.cut)
    ]
    groups: dict[str, list[Participant]] = {} if selection.by else {"all": []}
    for one in enrolled:
        groups.setdefault(_GROUP_OF[selection.by](one, cohort, selection), []).append(one)
    return {
        "target": target.model_dump(mode="json") if target else None,
        "groups": [_group(name, members) for name, members in sorted(groups.items())],
        "imputed_dates": sum(one.count_imputed_dates(selection.cut, ParticipantEnrolled) for one in enrolled),
    }


def _group(name: str, participants: list[Participant]) -> dict[str, Any]:
    days = Counter(
        participant.day(fact) for participant in participants if (fact := participant.first_fact(ParticipantEnrolled))
    )
    totals = accumulate(days[day] for day in sorted(days))
    curve = [{"on": day.isoformat(), "cumulative": total} for day, total in zip(sorted(days), totals, strict=True)]
    return {"name": name, "enrolled": len(participants), "curve": curve}


def _subset_of(participant: Participant, cohort: Cohort, selection: Selection) -> str:
    return "stereotactic" if participant.is_stereotactic(cohort.protocol, selection.cut) else "other"


_GROUP_OF: dict[str | None, Callable[[Participant, Cohort, Selection], str]] = {
    None: lambda one, cohort, selection: "all",
    "site": lambda one, cohort, selection: one.site_id,
    "sex": lambda one, cohort, selection: one.record.facts_of(ParticipantScreened)[0].sex,
    "subset": _subset_of,
}
STRATIFICATIONS = tuple(name for name in _GROUP_OF if name)
