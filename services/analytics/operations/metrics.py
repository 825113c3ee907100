"""Numbers of the projection for Prometheus."""

from __future__ import annotations

from typing import Any

import asyncpg

from services.analytics.operations import repository
from shared.web.metrics import Sample


async def collect_metrics(system_pool: asyncpg.Pool[Any]) -> list[Sample]:
    help_text = "Participants with facts but no current screening"
    counts = await repository.count_unscreened_by_study(system_pool)
    return [
        Sample("quartal_participants_without_screening", help_text, n, {"study": name}) for name, n in counts.items()
    ]
