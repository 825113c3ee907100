"""Numbers of the projection and of the derived rows for Prometheus."""

from __future__ import annotations

from typing import Any

import asyncpg

from services.analytics.operations import repository
from shared.web.metrics import Sample

_HELP = {
    "quartal_participants_without_screening": "Participants with facts but no current screening",
    "quartal_derivation_failures": "Participants whose rows could not be derived and are those of before",
    "quartal_derivation_behind": "Applied facts that figures and pages do not show yet",
}


async def collect_metrics(system_pool: asyncpg.Pool[Any]) -> list[Sample]:
    return [
        Sample(name, _HELP[name], number, {"study": counts.study_id})
        for counts in await repository.counts_by_study(system_pool)
        for name, number in (
            ("quartal_participants_without_screening", counts.unscreened),
            ("quartal_derivation_failures", counts.failed),
            ("quartal_derivation_behind", counts.behind),
        )
    ]
