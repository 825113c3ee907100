"""Today's digest on request of its member: composed now, or the same bytes once more if it has gone already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from services.analytics.reminders import digest_repository as mails
from services.analytics.reminders import repository
from services.analytics.reminders.digest import MailSettings
from services.analytics.reminders.digest_round import DigestRound, compose_digests
from services.analytics.reminders.log import STUDY_ADDRESSEE
from services.analytics.reminders.moment import SENDING_HOURS
from services.analytics.reminders.recipients import RecipientGroup, group_recipients
from services.analytics.reminders.repository import SiteDay
from services.analytics.reminders.site_days import list_site_days
from services.analytics.reminders.subscriptions.repository import recipients
from services.analytics.reminders.subscriptions.subscription import may_subscribe
from shared.eventstore.study_cache import Studies, load_rights
from shared.inbox.lag import is_caught_up, load_lags, load_stuck_counts
from shared.kernel.clock import Clock
from shared.kernel.errors import NoDigest, NoMailServer, ServiceUnavailable, TooManyMails
from shared.outbox.confirmation import is_confirmed
from shared.postgres.tenancy import PooledConnection, Tenant, transaction

DIGESTS_AN_HOUR = 3
NO_ADDRESS = "No message is sent: you want none, have confirmed no address, or are away."
OTHER_ADDRESS = "Today's message has gone to your former address."
BEHIND = "No message is sent at the moment: recorded facts are still being applied. Try again in a moment."


class RequestedDigests:
    """Sends members their digests of today, whatever the hour. `pool` connects as the system.

    `settings`: None in an installation that sends no mail.
    """

    def __init__(self, pool: asyncpg.Pool[Any], studies: Studies, clock: Clock, settings: MailSettings | None) -> None:
        self._pool, self._studies, self._clock, self._settings = pool, studies, clock, settings

    async def send(self, study_id: str, member: str) -> None:
        """Has the member's digests of today sent.

        Raises NotFound, Forbidden, NoMailServer, NoDigest with the reason, TooManyMails, ServiceUnavailable.
        """
        rights, study = await load_rights(self._studies, study_id, member)
        if not may_subscribe(rights):
            raise rights.refuse_reading()
        if self._settings is None:
            raise NoMailServer
        now, sites = self._clock.now(), list_site_days(self._clock, study_id, study.record)
        async with transaction(self._pool, Tenant(study_id)) as connection:
            await self._require_current(connection, study_id)
            own = [recipient for recipient in await recipients(connection, study_id, now) if recipient.member == member]
            groups = [group for group in group_recipients(own, sites) if group.recipients] if sites else []
            if not groups:
                raise NoDigest(NO_ADDRESS)
            if (
                await mails.count_recent_digests(connection, study_id, member, now - timedelta(hours=1))
                >= DIGESTS_AN_HOUR
            ):
                raise TooManyMails
            await self._send_groups(connection, study_id, member, groups, sites, self._settings, now)

    async def _require_current(self, connection: PooledConnection, study_id: str) -> None:
        """Raises NoDigest unless the rows say what stood on the topics seconds ago.

        Nobody else composes digests of the study meanwhile. The lag is read before the position: rows that are as new
        as the position then hold everything that the measurement counted.
        """
        if not await repository.lock_study(connection, study_id):
            raise ServiceUnavailable
        if not is_caught_up(await load_lags(self._pool), await load_stuck_counts(self._pool)):
            raise NoDigest(BEHIND)
        applied = await repository.load_applied_position(connection, study_id)
        derived = await repository.load_derivation_state(connection, study_id)
        is_derived = derived is not None and (derived.position, derived.epoch) == (applied.position, applied.epoch)
        if not is_derived or not await is_confirmed(self._pool):
            raise NoDigest(BEHIND)

    async def _send_groups(
        self,
        connection: PooledConnection,
        study_id: str,
        member: str,
        groups: Sequence[RecipientGroup],
        sites: Sequence[SiteDay],
        settings: MailSettings,
        now: datetime,
    ) -> None:
        days = {group.addressee: group.hour_site.today for group in groups}
        earlier = await mails.load_digest_mails(connection, study_id, member, days)
        for group in groups:
            if mail := earlier.get(group.addressee):
                if mail.address != group.recipients[0].address:
                    raise NoDigest(OTHER_ADDRESS)
                if mail.state != "waiting":
                    await mails.repeat_mail(connection, mail.mail_id, now, now + SENDING_HOURS)
                continue
            digests = DigestRound(
                study_id=study_id,
                addressee=group.addressee,
                day=group.hour_site.today,
                sites=sites if group.addressee == STUDY_ADDRESSEE else [group.hour_site],
                plan=group.hour_site.plan,
                recipients=group.recipients,
                now=now,
                expires_at=now + SENDING_HOURS,
            )
            await compose_digests(connection, digests, settings, mails.claim)
        if not await mails.load_digest_mails(connection, study_id, member, days):
            raise NoDigest
