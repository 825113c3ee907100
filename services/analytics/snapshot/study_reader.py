"""Reads a study as of a position from the database, as far as a member may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg

from services.analytics.cohort.participant import excludes_participant
from services.analytics.snapshot import repository
from services.analytics.snapshot.access import may_see_participants
from services.analytics.snapshot.as_of import AsOf, ResolvedPosition, resolve_position
from services.analytics.snapshot.repository import ProjectionPosition
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.event import Event
from shared.contracts.study import SiteActivated, StudyOpened
from shared.eventstore.study_cache import StudyState, load_rights
from shared.gate.study_timeline import latest_site_today
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.kernel.clock import Clock
from shared.kernel.errors import NotFound, NothingPublished
from shared.kernel.record import Record
from shared.postgres.tenancy import Tenant, transaction
from shared.security.grants import Rights, readable_tenants

UTC_OFFSET_OF_LAST_TIMEZONE = timedelta(hours=12)
"""Time from midnight in UTC until the day has begun at every place on earth."""


@dataclass(frozen=True, slots=True)
class ParticipantEvents:
    """The facts of one participant at a position, and the ids of the events that had been corrected by then."""

    events: Sequence[Event]
    corrected_ids: frozenset[UUID]


class StudyReader:
    """Reads studies for analyses.

    `system_pool` reads whole studies; `app_pool` reads single participants under row-level security.
    """

    def __init__(self, app_pool: asyncpg.Pool[Any], system_pool: asyncpg.Pool[Any], clock: Clock) -> None:
        self._app_pool, self._system_pool, self._clock = app_pool, system_pool, clock
        self.studies = ReplicatedStudies(system_pool)

    async def projection_position(self, study_id: str) -> ProjectionPosition:
        """Returns the latest position. Read it before the facts: a fact applied in between is then not missed."""
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

    async def resolve_position(self, study_id: str, current: ProjectionPosition, as_of: AsOf) -> ResolvedPosition:
        """Returns the position that `as_of` selects. Raises PositionGone, NotFound or RequestRejected."""
        return await resolve_position(self._system_pool, study_id, as_of, current)

    async def recorded_at(self, study_id: str, position: int) -> datetime | None:
        """Returns the time by which every fact up to the position had been recorded."""
        return await repository.recorded_at(self._system_pool, study_id, position)

    def latest_today(self, study_id: str, study: Record) -> date:
        """Returns the study's today: the latest calendar day at any of its sites."""
        return latest_site_today(self._clock, study_id, study)

    def today_by_site(self, study_id: str, study: Record) -> dict[str, date]:
        """Returns the calendar day at each site of the study."""
        return {site.site_id: self._clock.today(study_id, site.time_zone) for site in study.facts_of(SiteActivated)}

    def data_known_until(self, study_id: str, recorded_at: datetime | None) -> date:
        """Returns the last day that had begun everywhere when the last fact was recorded.

        It bounds imputed dates. It depends on the data alone, so an analysis of a position does not change with today.
        """
        return self._clock.day(study_id, (recorded_at or self._clock.now()) - UTC_OFFSET_OF_LAST_TIMEZONE)

    async def snapshot(
        self, study_id: str, study: Record, position: int, visible_to: Rights | None = None
    ) -> StudySnapshot:
        """Returns the study as of the position.

        `study` has the study's own facts of today. `visible_to` limits the participants to those whom the holder of
        these rights sees; without it the snapshot has all of them.
        """
        recorded_at = await self.recorded_at(study_id, position)
        excluded = await self.excluded_participants(study_id)
        events = await self._facts(study_id, position, visible_to)
        study_at_position = await repository.study_record_at(self._system_pool, study_id, position)
        return StudySnapshot(
            study_id=study_id,
            position=position,
            recorded_at=recorded_at,
            study=study_at_position
            if study_at_position.facts_of(StudyOpened)
            else study,  # before the study was opened: without participants
            events=events,
            excluded=excluded,
            known_until=self.data_known_until(study_id, recorded_at),
        )

    async def _facts(self, study_id: str, position: int, visible_to: Rights | None) -> Sequence[Event]:
        if visible_to is None:
            return await repository.facts_at(self._system_pool, study_id, position)
        return await self.visible_facts(study_id, visible_to, position)

    async def excluded_participants(self, study_id: str) -> frozenset[str]:
        """Returns the participants who are in no analysis today: voided, or consent to data use withdrawn."""
        exclusions = await repository.exclusion_facts(self._system_pool, study_id)
        return frozenset(event.stream_id for event in exclusions if excludes_participant(event.stated_fact().fact))

    async def visible_facts(self, study_id: str, rights: Rights, position: int) -> list[Event]:
        """Returns the facts at the position of the participants whom the member sees, by their current site.

        They are read under row-level security.
        """
        events = []
        for site in readable_tenants(rights):
            async with transaction(self._app_pool, Tenant(study_id, site)) as connection:
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

    async def _read_participant(
        self, study_id: str, participant_id: str, rights: Rights, position: int
    ) -> ParticipantEvents:
        """Read under the first of the member's tenants that can see the participant; empty if none can."""
        for site in readable_tenants(rights):
            async with transaction(self._app_pool, Tenant(study_id, site)) as connection:
                events = await repository.facts_of_participants(connection, study_id, [participant_id], position)
                if events:
                    corrected = await repository.corrected_event_ids(connection, study_id, participant_id, position)
                    return ParticipantEvents(events=events, corrected_ids=corrected)
        return ParticipantEvents(events=[], corrected_ids=frozenset())

    async def facts_by_participant(
        self, study_id: str, rights: Rights, position: int, after: str, limit: int
    ) -> dict[str, list[Event]]:
        """Returns the facts at the position of at most `limit` participants beyond `after`, by participant, sorted.

        They are read under row-level security; a participant without a fact at the position has an empty list.
        """
        by_participant = dict[str, list[Event]]()
        for site in readable_tenants(rights):
            async with transaction(self._app_pool, Tenant(study_id, site)) as connection:
                visible_ids = await repository.visible_participants(connection, study_id, after, limit)
                facts = await repository.facts_of_participants(connection, study_id, visible_ids, position)
            by_participant |= {participant_id: [] for participant_id in visible_ids}
            by_participant |= {name: list(events) for name, events in groupby(facts, lambda event: event.stream_id)}
        return {participant_id: by_participant[participant_id] for participant_id in sorted(by_participant)[:limit]}
