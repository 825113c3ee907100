"""From what is asked of a figure to its answer: who may see what, at which position, up to which day."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from services.analytics.cohort.cohort import Cohort, Selection, build_cohort, excludes_participant
from services.analytics.figures.registry import FIGURES, FigureDefinition
from services.analytics.snapshot import repository
from shared.contracts.event import Event
from shared.contracts.study import ProtocolAmended, SiteActivated, StudyOpened
from shared.eventstore.study_cache import StudyState, load_rights
from shared.gate.study_timeline import latest_site_today, require_site
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.kernel.clock import Clock
from shared.kernel.errors import Forbidden, NotFound, PositionGone, parameter_error
from shared.kernel.record import Record
from shared.security.grants import EVERY_SITE, Rights
from shared.security.tenancy import Tenant, transaction

_POSITION, _CUT = re.compile(r"[0-9]{1,15}"), re.compile(r"cut:([A-Za-z0-9][A-Za-z0-9_.:-]{0,63})")
CACHE_SIZE = 64
UTC_OFFSET_OF_LAST_TIMEZONE = timedelta(hours=12)
"""How long after midnight in UTC a day has begun everywhere."""


@dataclass(frozen=True, slots=True)
class FigureRequest:
    """The parameters of a figure as they come in; None where nothing was said."""

    cut: date | None = None
    at: str | None = None
    as_of: datetime | None = None
    site: str | None = None
    subset: str = "all"
    by: str | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class ReadScope:
    """Enrolling sites whose participants are counted (None: all), and whether small cells are withheld.

    `seen`: of these only those who are followed at one of these sites now (None: wherever they are).
    """

    enrolling_sites: frozenset[str] | None
    suppress_small_cells: bool
    current_sites: frozenset[str] | None


class FigureService:
    def __init__(self, app_pool: asyncpg.Pool[Any], system_pool: asyncpg.Pool[Any], clock: Clock) -> None:
        self._app_pool, self._system_pool, self._clock = app_pool, system_pool, clock
        self.studies = ReplicatedStudies(system_pool)
        self._cache: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()

    async def current_position(self, study_id: str, member: str) -> repository.ProjectionPosition:
        await load_rights(self.studies, study_id, member)
        return await repository.projection_position(self._system_pool, study_id)

    def latest_today(self, study_id: str, study: Record) -> date:
        """The study's today: the latest calendar day at any of its sites."""
        return latest_site_today(self._clock, study_id, study)

    def _resolve_cut(self, study_id: str, study: Record, requested: date | None, named_cut_day: date | None) -> date:
        """The last day that counts: the one asked for, that of a named cut, or today. Raises Unacceptable."""
        today = self.latest_today(study_id, study)
        if requested and requested > today:
            raise parameter_error("cut", f"Give no day after the study's today, {today.isoformat()}.")
        return requested or named_cut_day or today

    def data_known_until(self, study_id: str, recorded_at: datetime | None) -> date:
        """The day by which all that was recorded until then had happened, and which had come at every site by then.

        It is the cut of the data, not that of the analysis: what is said of a position does not change with today.
        """
        return self._clock.day(study_id, (recorded_at or self._clock.now()) - UTC_OFFSET_OF_LAST_TIMEZONE)

    async def figure(self, name: str, study_id: str, member: str, request: FigureRequest) -> dict[str, Any]:
        """The `.json` answer. Raises NotFound, NotYourRole, PositionGone or Unacceptable."""
        current = await repository.projection_position(
            self._system_pool, study_id
        )  # before the facts: what is applied later is newer
        rights, study = await load_rights(self.studies, study_id, member)
        definition = FIGURES.get(name)
        if definition is None:
            raise NotFound
        if request.by and request.by not in definition.stratifications:
            raise parameter_error(
                "by", f"This figure can be divided by: {', '.join(definition.stratifications) or 'nothing'}."
            )
        scope = _read_scope(definition, rights, request.site)
        require_site(study.record, request.site)
        position, named_cut_day = await self.resolve_position(study_id, current, request)
        cut = self._resolve_cut(study_id, study.record, request.cut, named_cut_day)
        selection = Selection(cut, scope.enrolling_sites, request.subset, request.by)
        visible_tenants = tuple(readable_tenants(rights)) if definition.participant_level else ()
        cache_key = (study_id, current.epoch, current.position, position, name, cut, request, scope, visible_tenants)
        if cache_key not in self._cache:
            self._cache[cache_key] = await self._compute(
                definition, study_id, study, rights, position, selection, scope
            )
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return {"figure": name, "study_id": study_id, **self._cache[cache_key]}

    async def resolve_position(
        self, study_id: str, current: repository.ProjectionPosition, request: FigureRequest
    ) -> tuple[int, date | None]:
        """The position asked for, and the day of a named cut. Raises PositionGone, NotFound or Unacceptable."""
        if request.epoch and request.epoch != current.epoch:
            raise PositionGone
        if request.at and request.as_of:
            raise parameter_error("at", "Give `at` or `as_of`, but not both.")
        if request.as_of:
            position = await repository.position_as_of(self._system_pool, study_id, request.as_of)
            return current.position if position is None else position, None
        if request.at is None:
            return current.position, None
        if cut_name := _CUT.fullmatch(request.at):
            named_cut = await repository.named_cut(self._system_pool, study_id, cut_name[1])
            if named_cut is None:
                raise NotFound("This study has no data cut of that name.")
            return named_cut
        if not _POSITION.fullmatch(request.at) or int(request.at) > current.position:
            raise parameter_error("at", f"Give a position from 0 to {current.position}, or cut:<name> of a data cut.")
        return int(request.at), None

    async def _compute(
        self,
        definition: FigureDefinition,
        study_id: str,
        study: StudyState,
        rights: Rights,
        position: int,
        selection: Selection,
        scope: ReadScope,
    ) -> dict[str, Any]:
        recorded_at = await repository.recorded_at(self._system_pool, study_id, position)
        study_cohort = await self._load_cohort(
            definition, study_id, study, rights, position, selection.cut, recorded_at
        )
        result = await asyncio.to_thread(definition.compute, study_cohort, selection)
        result["left_out"] = selection.count_excluded(study_cohort)
        if scope.suppress_small_cells:
            is_whole_study = selection.sites is None and selection.subset == "all"
            result = suppress_small_cells(result, _small_cell_threshold(study.record), is_whole_study=is_whole_study)
        return {
            "position": position,
            "recorded_at": recorded_at.isoformat() if recorded_at else None,
            "cut": selection.cut.isoformat(),
            "parameters": _effective_filters(selection, scope),
            **result,
        }

    async def _load_cohort(
        self,
        definition: FigureDefinition,
        study_id: str,
        study: StudyState,
        rights: Rights,
        position: int,
        cut: date,
        recorded_at: datetime | None,
    ) -> Cohort:
        excluded = await self.excluded_participants(study_id)
        if definition.participant_level:
            events = await self.visible_facts(study_id, rights, position)
        else:
            events = await repository.facts_at(self._system_pool, study_id, position)
        study_at_position = await repository.study_record_at(self._system_pool, study_id, position)
        study_record = (
            study_at_position if study_at_position.facts_of(StudyOpened) else study.record
        )  # before the study was opened nobody was in it either
        return await asyncio.to_thread(
            build_cohort, study_record, events, excluded, cut, self.data_known_until(study_id, recorded_at)
        )

    async def excluded_participants(self, study_id: str) -> frozenset[str]:
        """Participants that nothing may be shown of today."""
        exclusions = await repository.exclusion_facts(self._system_pool, study_id)
        return frozenset(event.stream_id for event in exclusions if excludes_participant(event.stated_fact().fact))

    async def visible_facts(self, study_id: str, rights: Rights, position: int) -> list[Event]:
        """What stood of the participants whom the member sees, by where they are now: under row-level security."""
        events = []
        for site in readable_tenants(rights):
            async with transaction(self._app_pool, Tenant(study_id, site)) as connection:
                events += await repository.facts_at(connection, study_id, position)
        return events

    def today_by_site(self, study_id: str, study: Record) -> dict[str, date]:
        """The calendar day at each site of the study."""
        return {site.site_id: self._clock.today(study_id, site.time_zone) for site in study.facts_of(SiteActivated)}


def _small_cell_threshold(study: Record) -> int:
    """What readers are not shown: the highest bound that any protocol of the study has set."""
    openings, amendments = study.facts_of(StudyOpened), study.facts_of(ProtocolAmended)
    return max(protocol.small_cell for protocol in (*(o.protocol for o in openings), *(a.protocol for a in amendments)))


def _read_scope(definition: FigureDefinition, rights: Rights, site: str | None) -> ReadScope:
    """Whoever holds a grant for the whole study sees it whole, others their own sites.

    Single participants are seen by where they are now, which row-level security sees to; counts go by enrolling site.
    """
    if definition.participant_level and not rights.visible_sites:
        raise Forbidden
    sites = rights.visible_sites if definition.participant_level else frozenset(grant.scope for grant in rights.grants)
    sees_whole_study = EVERY_SITE in sites
    if site is not None and not (sees_whole_study or site in sites):
        raise Forbidden
    own_sites = None if sees_whole_study or definition.participant_level else sites
    enrolling_sites = frozenset({site}) if site is not None else own_sites
    current_sites = frozenset(sites) if definition.participant_level and not sees_whole_study else None
    return ReadScope(enrolling_sites, all(grant.role == "reader" for grant in rights.grants), current_sites)


def readable_tenants(rights: Rights) -> list[str]:
    """As whom single participants are read: the whole study, or one site after the other."""
    return [EVERY_SITE] if EVERY_SITE in rights.visible_sites else sorted(rights.visible_sites)


def suppress_small_cells(result: dict[str, Any], small_cell: int, *, is_whole_study: bool) -> dict[str, Any]:
    """Without cells of fewer participants than `small_cell`: of groups, and of the counts of a site or a subset.

    Where anything is withheld, `withheld_below` says so.
    """
    suppressed = _suppress_counts(result, small_cell, is_whole_study=is_whole_study)
    return suppressed if suppressed == result else {**suppressed, "withheld_below": small_cell}


def _suppress_counts(result: dict[str, Any], small_cell: int, *, is_whole_study: bool) -> dict[str, Any]:
    groups = result.get("groups", [])
    if any(group["name"] != "all" for group in groups):
        result = {**result, "groups": [_suppress_group(group, small_cell) for group in groups]}
    if is_whole_study:
        return result
    hidden = {name for name, value in result.items() if type(value) is int and 0 < value < small_cell}
    hidden -= {"imputed_dates"}
    if "stereotactic" in hidden or "enrolled" in hidden:
        hidden |= {"stereotactic_percent", "stereotactic_interval"} & result.keys()
    visible = {name: None if name in hidden else value for name, value in result.items()}
    return {**visible, "groups": [_suppress_group(group, small_cell) for group in groups]} if groups else visible


def _suppress_group(group: dict[str, Any], small_cell: int) -> dict[str, Any]:
    if 0 < group["enrolled"] < small_cell:
        return {**group, "enrolled": None, "curve": []}
    return group


def _effective_filters(selection: Selection, scope: ReadScope) -> dict[str, Any]:
    """What narrows the figure, whether it was asked for or is all that the caller may see."""
    filters = {
        "site": _join_sites(selection.sites),
        "followed_at": _join_sites(scope.current_sites),
        "subset": selection.subset,
        "by": selection.by,
    }
    return {name: value for name, value in filters.items() if value is not None}


def _join_sites(sites: frozenset[str] | None) -> str | None:
    return ",".join(sorted(sites)) or None if sites is not None else None
