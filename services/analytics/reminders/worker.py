"""The worker of reminders: brings the log of each study up to today, and composes digests when their moment has come.

A tick is one transaction for each study: it plans, composes and fixes the digests. It sends nothing itself. Two workers
at once do no harm: the second finds the study locked, and a digest is fixed once for a member, site and day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from services.analytics.reminders import repository, status
from services.analytics.reminders.currency import OBSTACLES, Currency, Obstacle
from services.analytics.reminders.digest import MailSettings
from services.analytics.reminders.digest_round import ClaimDigest, DigestRound, compose_rounds
from services.analytics.reminders.log import STUDY_ADDRESSEE, Reach
from services.analytics.reminders.moment import open_until
from services.analytics.reminders.planning import plan_reminders
from services.analytics.reminders.recipients import (
    LoadRecipients,
    RecipientGroup,
    find_reach,
    group_recipients,
    plan_of_study,
)
from services.analytics.reminders.repository import DerivationState, SiteDay, StudyOverview
from services.analytics.reminders.site_days import list_site_days
from services.analytics.reminders.working_days import is_working_day
from services.analytics.snapshot.repository import study_record_at
from shared.contracts.study import StudyOpened
from shared.kernel.clock import Clock
from shared.kernel.record import Record
from shared.outbox.confirmation import is_confirmed
from shared.postgres.tenancy import PooledConnection, Tenant, transaction
from shared.protocol.protocol import ReminderPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPorts:
    """The members who receive digests, and what fixes a digest to be sent.

    `settings`: None where the installation sends no mail; then nobody is a recipient.
    """

    load_recipients: LoadRecipients
    claim: ClaimDigest
    settings: MailSettings | None


class _PlanningInput(NamedTuple):
    """The input of a study's plan of reminders: while it is equal, nothing is planned anew.

    `state`: of the derived rows. `sites`: on their days. `reaches`: by site.
    """

    state: DerivationState
    sites: tuple[SiteDay, ...]
    study_plan: ReminderPlan
    reaches: Mapping[str, Reach]


class ReminderWorker:
    """Plans and composes the reminders of studies. `pool` connects as the system.

    `clock` says what day and hour it is. `shards`: the number of shards of the outbox.
    """

    def __init__(
        self, pool: asyncpg.Pool[Any], clock: Clock, currency: Currency, mail: MailPorts, *, shards: int = 1
    ) -> None:
        self._pool, self._clock, self._currency, self._mail, self._shards = pool, clock, currency, mail, shards
        self._planned: dict[str, _PlanningInput] = {}
        self._studies: dict[str, tuple[DerivationState, Record]] = {}

    async def studies(self) -> list[StudyOverview]:
        """Returns the studies with derived rows."""
        async with self._pool.acquire() as connection:
            return await repository.list_studies(connection)

    def is_idle(self, overview: StudyOverview) -> bool:
        """Returns whether a tick would change nothing: nobody receives digests, and the plan's input is as it was."""
        planned = self._planned.get(overview.study_id)
        if overview.has_subscribers or planned is None or planned.state != overview.state:
            return False
        _, study = self._studies[overview.study_id]
        sites = list_site_days(self._clock, overview.study_id, study)
        groups = group_recipients([], sites)
        open_sites = [site.site_id for site in sites if self._hours_end(overview.study_id, site)]
        return planned == _planning_input(overview.state, sites, groups, open_sites)

    async def pass_over(self, study_ids: Sequence[str]) -> None:
        """Stores the sign of life of studies that need no tick."""
        async with self._pool.acquire() as connection:
            await status.store_signs_of_life(connection, study_ids)

    async def is_confirmed(self) -> bool:
        """Returns whether the database was compared with what was published: otherwise every tick says so."""
        return await is_confirmed(self._pool)

    async def tick(self, study_id: str) -> Obstacle | None:
        """Brings a study up to now. Returns the weightiest obstacle to its digests; None if they wait for nothing.

        Nothing is planned in a database that was not compared with what was published: it may be an earlier state.
        """
        if not await is_confirmed(self._pool):
            async with self._pool.acquire() as connection:
                await status.store_status(connection, study_id, ["comparison"])
            return "comparison"
        async with self._pool.acquire() as connection:
            state, study = await self._load_study(connection, study_id)
            if state is None or not (sites := list_site_days(self._clock, study_id, study)):
                await status.store_status(connection, study_id, ())
                return None
            groups = await self._load_groups(connection, study_id, sites)
        open_sites, obstacles = await self._open_sites(study_id, sites, groups)
        obstacle = min(obstacles, key=OBSTACLES.index, default=None)
        async with transaction(self._pool, Tenant(study_id)) as connection:
            if not await repository.lock_study(connection, study_id):
                return obstacle
            if await repository.load_derivation_state(connection, study_id) != state:
                return obstacle  # rows were derived in the meantime: the next tick has them
            planned = await self._bring_up_to_date(connection, study_id, sites, groups, open_sites, state)
            await status.store_status(connection, study_id, obstacles)
        self._planned[study_id] = planned
        return obstacle

    async def _load_study(self, connection: PooledConnection, study_id: str) -> tuple[DerivationState | None, Record]:
        """Returns the state of the study's rows and its own facts then; None if it has no rows or was not opened."""
        state = await repository.load_derivation_state(connection, study_id)
        if state is None:
            return None, Record()
        known_at, study = self._studies.get(study_id, (None, Record()))
        if known_at != state:
            study = await study_record_at(connection, study_id, state.position)
            self._studies[study_id] = state, study
        return (state, study) if study.facts_of(StudyOpened) else (None, study)

    async def _load_groups(
        self, connection: PooledConnection, study_id: str, sites: Sequence[SiteDay]
    ) -> list[RecipientGroup]:
        sends_mail = self._mail.settings is not None
        recipients = await self._mail.load_recipients(connection, study_id, self._clock.now()) if sends_mail else []
        return group_recipients(recipients, sites)

    async def _open_sites(
        self, study_id: str, sites: Sequence[SiteDay], groups: Sequence[RecipientGroup]
    ) -> tuple[Mapping[str, datetime], Collection[Obstacle]]:
        """Returns the sites whose digests may be composed now, with the ends of their hours, and what others wait for.

        These are the sites on a working day, within their hours, and of which the rows say what was published by then.
        In a study that is frozen on a day, digests are due once there is somebody to receive them.
        """
        open_sites, obstacles = dict[str, datetime](), set[Obstacle]()
        is_frozen = self._clock.is_frozen(study_id)
        for site in sites:
            if (until := self._hours_end(study_id, site)) is None:
                continue
            members = [
                recipient.member for group in groups if group.hour_site is site for recipient in group.recipients
            ]
            obstacle = members and await self._currency.find_obstacle(
                study_id, site.site_id, site.today, members if is_frozen else ()
            )
            if obstacle:
                obstacles.add(obstacle)
            else:
                open_sites[site.site_id] = until
        return open_sites, obstacles

    def _hours_end(self, study_id: str, site: SiteDay) -> datetime | None:
        """Returns the end of the hours in which digests of the site are composed; None outside them."""
        until = open_until(self._clock, study_id, site.zone, site.plan.digest_at)
        return until if is_working_day(site.country, site.today) else None

    async def _bring_up_to_date(
        self,
        connection: PooledConnection,
        study_id: str,
        sites: Sequence[SiteDay],
        groups: Sequence[RecipientGroup],
        open_sites: Mapping[str, datetime],
        state: DerivationState,
    ) -> _PlanningInput:
        """Plans the reminders unless they are as they were, and composes digests. Returns for what they are planned."""
        now, settings = self._clock.now(), self._mail.settings
        planned = _planning_input(state, sites, groups, open_sites)
        if self._planned.get(study_id) != planned:
            await plan_reminders(
                connection, study_id, sites, planned.study_plan, planned.reaches, state, now, shards=self._shards
            )
        rounds = [
            DigestRound(
                study_id=study_id,
                addressee=group.addressee,
                day=group.hour_site.today,
                sites=sites if group.addressee == STUDY_ADDRESSEE else [group.hour_site],
                plan=group.hour_site.plan,
                recipients=group.recipients,
                now=now,
                expires_at=until,
            )
            for group in groups
            if (until := open_sites.get(group.hour_site.site_id)) and group.recipients
        ]
        if settings:
            await compose_rounds(connection, rounds, settings, self._mail.claim)
        return planned


def _planning_input(
    state: DerivationState, sites: Sequence[SiteDay], groups: Sequence[RecipientGroup], open_sites: Collection[str]
) -> _PlanningInput:
    reaches = {site.site_id: find_reach(site, groups, open_sites) for site in sites}
    return _PlanningInput(state, tuple(sites), plan_of_study(groups, open_sites), reaches)
