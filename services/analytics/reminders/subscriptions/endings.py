"""Ends subscriptions: of members whose last grant for them was revoked, and those not renewed for 12 months."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from services.analytics.reminders.subscriptions import repository
from services.analytics.reminders.subscriptions.subscription import LIFETIME, may_subscribe
from shared.eventstore.study_cache import Studies
from shared.postgres.tenancy import Tenant, transaction


async def end_subscriptions(pool: asyncpg.Pool[Any], studies: Studies, now: datetime) -> int:
    """Ends the subscriptions of all studies whose time is over. Returns their number. `pool` connects as the system."""
    async with pool.acquire() as connection:
        study_ids = await repository.subscribed_studies(connection)
    ended = 0
    for study_id in study_ids:
        study = await studies.reload(study_id)
        async with transaction(pool, Tenant(study_id)) as connection:
            for member, renewed_at in await repository.load_renewals(connection, study_id):
                if renewed_at + LIFETIME <= now or not may_subscribe(study.rights(member)):
                    await repository.delete_subscription(connection, study_id, member)
                    ended += 1
    return ended
