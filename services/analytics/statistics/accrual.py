"""Enrolment over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from services.analytics.cohort import Cohort, Participant, Selection
from shared.contracts.enrollment import Enrolled, Screened


def accrual(cohort: Cohort, selection: Selection) -> dict[str, Any]:
    """By group, the cumulative number enrolled on every day on which somebody was; and what the protocol plans."""
    target = cohort.protocol.accrual_target
    enrolled = [one for one in selection.of(cohort) if one.first(Enrolled, selection.cut)]
    groups: dict[str, list[Participant]] = {} if selection.by else {"all": []}
    for one in enrolled:
        groups.setdefault(_GROUPS[selection.by](one, cohort, selection), []).append(one)
    return {
        "target": target.model_dump(mode="json") if target else None,
        "groups": [_group(name, members) for name, members in sorted(groups.items())],
        "imputed_dates": sum(one.imputed_dates(selection.cut, Enrolled) for one in enrolled),
    }


def _group(name: str, members: list[Participant]) -> dict[str, Any]:
    days = Counter(one.day(fact) for one in members if (fact := one.first(Enrolled)))
    totals = accumulate(days[day] for day in sorted(days))
    curve = [{"on": day.isoformat(), "cumulative": total} for day, total in zip(sorted(days), totals, strict=True)]
    return {"name": name, "enrolled": len(members), "curve": curve}


def _subset(one: Participant, cohort: Cohort, selection: Selection) -> str:
    return "stereotactic" if one.is_stereotactic(cohort.protocol, selection.cut) else "other"


_GROUPS: dict[str | None, Callable[[Participant, Cohort, Selection], str]] = {
    None: lambda one, cohort, selection: "all",
    "site": lambda one, cohort, selection: one.site_id,
    "sex": lambda one, cohort, selection: one.record.facts(Screened)[0].sex,
    "subset": _subset,
}
BY = tuple(name for name in _GROUPS if name)
