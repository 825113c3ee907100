"""Reads a study as of a position from the database, as far as a member may see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from services.analytics.cohort.participants import UnreadableFact
from services.analytics.derivation.rows import TABLES
from services.analytics.snapshot import repository
from services.analytics.snapshot.access import may_see_participants
from services.analytics.snapshot.as_of import LATEST, AsOf, ResolvedPosition, resolve_position
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE, ParticipantIds
from services.analytics.snapshot.derived_snapshot import StudyFacts, derive_snapshot
from services.analytics.snapshot.live_snapshots import LiveSnapshots
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.seals import Seals
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event
from shared.contracts.study import SiteActivated, StudyOpened
from shared.eventstore.study_cache import StudyState, load_rights
from shared.gate.study_timeline import latest_site_today
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.kernel.clock import Clock
from shared.kernel.errors import NotFound, NothingPublished, UnreadableFacts
from shared.kernel.record import Record
from shared.postgres.tenancy import Tenant, TenantSnapshot, open_snapshot
from shared.security.grants import Rights, readable_tenants


@dataclass(frozen=True, slots=True)
class ParticipantEvents:
    """The facts of one participant at a position, and the ids of the events that had been corrected by then."""

    events: Sequence[Event]
    corrected_ids: frozenset[UUID]


class StudyReader:
    """Reads studies for analyses.

    `system_pool` reads whole studies; `app_pool` reads single participants under row-level security. `tables`: the
    tables of derived rows that analyses need.
    """

    def __init__(
        self,
        app_pool: asyncpg.Pool[Any],
        system_pool: asyncpg.Pool[Any],
        clock: Clock,
        tables: frozenset[str] = frozenset(TABLES),
    ) -> None:
        self._app_pool, self._system_pool, self._clock = app_pool, system_pool, clock
        self._live_snapshots = LiveSnapshots(system_pool, tables)
        self.studies, self.seals = ReplicatedStudies(system_pool), Seals(app_pool, system_pool)

    async def projection_position(self, study_id: str) -> ProjectionPosition:
        """Returns the latest position. Read it before the facts: a fact applied in between is then not missed.

        Every fact up to it has the day by which it was known. Facts of earlier releases have it since the start of the
        worker, or since the derivation that came first.
        """
        return await repository.projection_position(self._system_pool, study_id)

    async def member_rights(self, study_id: str, member: str) -> Rights:
        """Returns the rights of a member of the study. Raises NotFound for anybody else."""
        rights, _ = await load_rights(self.studies, study_id, member)
        return rights

    async def visible_position(self, study_id: str, member: str) -> ProjectionPosition:
        """Returns the latest position; for readers that of the last data cut, and when the cut was recorded.

        Raises NotFound for anybody who is no member, NothingPublished for readers before the first cut.
        """
        rights = await self.member_rights(study_id, member)
        current = await self.projection_position(study_id)
        if not rights.is_reader:
            return current
        if not (cuts := await self.data_cuts(study_id)):
            raise NothingPublished
        return ProjectionPosition(cuts[-1].position, current.epoch, cuts[-1].recorded_at)

    async def data_cuts(self, study_id: str) -> list[DataCut]:
        """Returns the named data cuts of a study in the order in which they were taken."""
        return await repository.data_cuts(self._system_pool, study_id)

    async def months(self, study_id: str) -> list[tuple[date, int]]:
        """Returns the months (UTC) in which a fact was recorded, the last one first, with the position of the first."""
        return await repository.months(self._system_pool, study_id)

    async def resolve_position(self, study_id: str, current: ProjectionPosition, as_of: AsOf) -> ResolvedPosition:
        """Returns the position that `as_of` selects. Raises PositionGone, NotFound or RequestRejected."""
        return await resolve_position(self._system_pool, study_id, as_of, current)

    async def recorded_at(self, study_id: str, position: int) -> datetime | None:
        """Returns the time by which every fact up to the position had been recorded."""
        return await repository.recorded_at(self._system_pool, study_id, position)

    async def sites_at(self, study_id: str, position: int) -> dict[str, str]:
        """Returns the site that followed each participant at a position."""
        return await repository.sites_at(self._system_pool, study_id, position)

    def latest_today(self, study_id: str, study: Record) -> date:
        """Returns the study's today: the latest calendar day at any of its sites."""
        return latest_site_today(self._clock, study_id, study)

    def today_by_site(self, study_id: str, study: Record) -> dict[str, date]:
        """Returns the calendar day at each site of the study."""
        return {site.site_id: self._clock.today(study_id, site.time_zone) for site in study.facts_of(SiteActivated)}

    async def default_cut_date(self, study_id: str, study: Record, as_of: AsOf, position: int) -> date:
        """Returns the data cut-off of a request that gives none: today, or the day of the position that it selects.

        The day of a position is stored with the facts, so that no later change of a clock moves it.
        """
        today = self.latest_today(study_id, study)
        if as_of == LATEST:
            return today
        return min(await repository.day_of_position(self._system_pool, study_id, position) or today, today)

    async def study_record(self, study_id: str, position: int) -> Record:
        """Returns the study's own facts that were current at a position."""
        return await repository.study_record_at(self._system_pool, study_id, position)

    async def newest_snapshot(self, study_id: str) -> StudySnapshot:
        """Returns the newest rows of all participants of a study."""
        return await self._live_snapshots.newest_snapshot(study_id)

    async def visible_participants(self, study_id: str, rights: Rights) -> ParticipantIds:
        """Returns the participants whom the member sees, by their current site, as row-level security decides it."""
        async with self.open_snapshot(study_id, rights) as snapshot:
            visible = [await repository.visible_participants(connection, study_id) async for connection in snapshot]
        return np.concatenate([np.array([], dtype=PARTICIPANT_DTYPE), *visible])

    async def words(self, codes: Iterable[int], words: Iterable[str] = ()) -> dict[int, str]:
        """Returns the words of these codes of derived rows, and these words, by their codes."""
        return await repository.words_by_code(self._system_pool, codes, words)

    async def past_snapshot(
        self,
        study_id: str,
        study: Record,
        position: int,
        visible_to: Rights | None = None,
        *,
        excluded: frozenset[str] | None = None,
    ) -> StudySnapshot:
        """Returns the rows of a study as of a position, which are derived from its facts there.

        `study` has the study's own facts of today. `excluded`: participants who are in no analysis, beside those who
        were in none at the position; None: those who are in none today. Raises UnreadableFacts.
        """
        recorded_at = await self.recorded_at(study_id, position)
        study_at_position = await self.study_record(study_id, position)
        facts = StudyFacts(
            study_id=study_id,
            position=position,
            recorded_at=recorded_at,
            study=study_at_position if study_at_position.facts_of(StudyOpened) else study,  # before: without anybody
            events=await self._facts(study_id, position, visible_to),
            excluded=await self.excluded_participants(study_id) if excluded is None else excluded,
        )
        try:
            return await asyncio.to_thread(derive_snapshot, facts)
        except UnreadableFact as error:
            raise UnreadableFacts from error

    async def _facts(self, study_id: str, position: int, visible_to: Rights | None) -> Sequence[Event]:
        if visible_to is None:
            return await repository.facts_at(self._system_pool, study_id, position)
        return await self.visible_facts(study_id, visible_to, position)

    async def excluded_participants(self, study_id: str) -> frozenset[str]:
        """Returns the participants who are in no analysis today."""
        return await repository.excluded_participants(self._system_pool, study_id)

    def open_snapshot(self, study_id: str, rights: Rights) -> AbstractAsyncContextManager[TenantSnapshot]:
        """Opens a state of the database, and reads it as each tenant as which the member may read participants.

        A participant who is transferred meanwhile is seen once. Raises Forbidden.
        """
        return open_snapshot(self._app_pool, [Tenant(study_id, site) for site in readable_tenants(rights)])

    async def visible_facts(self, study_id: str, rights: Rights, position: int) -> list[Event]:
        """Returns the facts at the position of the participants whom the member sees, by their current site.

        They are read under row-level security.
        """
        events = []
        async with self.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                events += await repository.facts_at(connection, study_id, position)
        return events

    async def participant_rights(self, study_id: str, member: str) -> tuple[Rights, StudyState]:
        """Returns the rights of a member who sees participants, and the study. Raises NotFound or Forbidden."""
        rights, study = await load_rights(self.studies, study_id, member)
        if not may_see_participants(rights):
            raise rights.refuse_reading()
        return rights, study

    async def participant_facts(
        self, study_id: str, participant_id: str, rights: Rights, position: int
    ) -> ParticipantEvents:
        """Returns the facts of one participant at the position, read under row-level security.

        Raises NotFound alike for a participant who is unknown, not screened, at a site that the member does not see,
        or excluded from every analysis today.
        """
        facts = await self._read_participant(study_id, participant_id, rights, position)
        is_screened = any(event.type == ParticipantScreened.type_name for event in facts.events)
        if not is_screened or participant_id in await self.excluded_participants(study_id):
            raise NotFound
        return facts

    async def is_shown(self, study_id: str, participant_id: str, rights: Rights, service: str, version: int) -> bool:
        """Returns whether analyses have an event of a participant whom the member may see."""
        current, source = await self.projection_position(study_id), f"/studies/{study_id}/{service}"
        async with self.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                position = await repository.event_position(connection, source, participant_id, version)
                if position is not None:
                    return position <= current.position
        return False

    async def require_participant(self, study_id: str, participant_id: str, rights: Rights) -> None:
        """Raises NotFound as `participant_facts` does, for a participant whom the member does not see."""
        async with self.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                if await repository.is_visible(connection, study_id, participant_id):
                    return
        raise NotFound

    async def _read_participant(
        self, study_id: str, participant_id: str, rights: Rights, position: int
    ) -> ParticipantEvents:
        """Reads under the first of the member's tenants that can see the participant; empty if none can."""
        async with self.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                events = await repository.facts_of_participants(connection, study_id, [participant_id], position)
                if events:
                    corrected = await repository.corrected_event_ids(connection, study_id, participant_id, position)
                    return ParticipantEvents(events=events, corrected_ids=corrected)
        return ParticipantEvents(events=[], corrected_ids=frozenset())
