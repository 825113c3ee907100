"""Ends subscriptions: of members whose last grant for them was revoked, and those not renewed for 12 months."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import asyncpg

from services.analytics.reminders.subscriptions import repository
from services.analytics.reminders.subscriptions.subscription import may_subscribe, subscription_end
from shared.eventstore.study_cache import Studies
from shared.postgres.errors import UNAVAILABLE
from shared.postgres.tenancy import Tenant, transaction

_log = logging.getLogger(__name__)


async def end_subscriptions(pool: asyncpg.Pool[Any], studies: Studies, now: datetime) -> int:
    """Ends the subscriptions of all studies whose time is over. Returns their number. `pool` connects as the system.

    Those of a study that cannot be read stay, and the other studies are not held up.
    """
    async with pool.acquire() as connection:
        study_ids = await repository.subscribed_studies(connection)
    ended = 0
    for study_id in study_ids:
        try:
            ended += await _end_in_study(pool, studies, study_id, now)
        except UNAVAILABLE:
            raise
        except Exception:  # of any kind: such as a fact of the study that this release cannot read
            _log.exception("subscriptions cannot be ended: the study cannot be read", extra={"study_id": study_id})
    return ended


async def _end_in_study(pool: asyncpg.Pool[Any], studies: Studies, study_id: str, now: datetime) -> int:
    study = await studies.reload(study_id)
    ended = 0
    async with transaction(pool, Tenant(study_id)) as connection:
        for member, renewed_at in await repository.load_renewals(connection, study_id):
            if subscription_end(renewed_at) <= now or not may_subscribe(study.rights(member)):
                await repository.delete_subscription(connection, study_id, member)
                ended += 1
    return ended
