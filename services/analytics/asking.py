"""From what is asked of a figure to its answer: who may see what, at which position, up to which day."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from services.analytics.cohort import Cohort, Selection, cohort, is_out
from services.analytics.figures.catalogue import FIGURES, FigureKind
from services.analytics.projection import reading
from shared.contracts.event import Event
from shared.contracts.study import Opened, ProtocolAmended, SiteActivated
from shared.eventstore.studies import StudyState, rights_in
from shared.gate.study import latest_today, require_site
from shared.inbox.registry.reading import KnownStudies
from shared.kernel.clock import Clock
from shared.kernel.record import Record
from shared.kernel.refusal import NotFound, NotYourRole, PositionGone, wrong_parameter
from shared.security.grants import EVERY_SITE, Rights
from shared.security.tenancy import Tenant, transaction

_POSITION, _CUT = re.compile(r"[0-9]{1,15}"), re.compile(r"cut:([A-Za-z0-9][A-Za-z0-9_.:-]{0,63})")
MOST_KEPT = 64
WESTERNMOST = timedelta(hours=12)
"""How long after midnight in UTC a day has begun everywhere."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a figure as they come in; None where nothing was said."""

    cut: date | None = None
    at: str | None = None
    as_of: datetime | None = None
    site: str | None = None
    subset: str = "all"
    by: str | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class _Scope:
    """Enrolling sites whose participants are counted (None: all), and whether small cells are withheld.

    `seen`: of these only those who are followed at one of these sites now (None: wherever they are).
    """

    sites: frozenset[str] | None
    withhold_small: bool
    seen: frozenset[str] | None


class Figures:
    def __init__(self, app: asyncpg.Pool[Any], system: asyncpg.Pool[Any], clock: Clock) -> None:
        self._app, self._system, self._clock = app, system, clock
        self.studies = KnownStudies(system)
        self._kept: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()

    async def frontier(self, study_id: str, member: str) -> reading.Frontier:
        await rights_in(self.studies, study_id, member)
        return await reading.frontier(self._system, study_id)

    def today(self, study_id: str, study: Record) -> date:
        """The study's today: the latest calendar day at any of its sites."""
        return latest_today(self._clock, study_id, study)

    def _cut(self, study_id: str, study: Record, asked: date | None, taken: date | None) -> date:
        """The last day that counts: the one asked for, that of a named cut, or today. Raises Unacceptable."""
        today = self.today(study_id, study)
        if asked and asked > today:
            raise wrong_parameter("cut", f"Give no day after the study's today, {today.isoformat()}.")
        return asked or taken or today

    def known_on(self, study_id: str, recorded_at: datetime | None) -> date:
        """The day by which all that was recorded until then had happened, and which had come at every site by then.

        It is the cut of the data, not that of the analysis: what is said of a position does not change with today.
        """
        return self._clock.day(study_id, (recorded_at or self._clock.now()) - WESTERNMOST)

    async def figure(self, name: str, study_id: str, member: str, asked: Asked) -> dict[str, Any]:
        """The `.json` answer. Raises NotFound, NotYourRole, PositionGone or Unacceptable."""
        frontier = await reading.frontier(self._system, study_id)  # before the facts: what is applied later is newer
        rights, study = await rights_in(self.studies, study_id, member)
        kind = FIGURES.get(name)
        if kind is None:
            raise NotFound
        if asked.by and asked.by not in kind.by:
            raise wrong_parameter("by", f"This figure can be divided by: {', '.join(kind.by) or 'nothing'}.")
        scope = _scope(kind, rights, asked.site)
        require_site(study.record, asked.site)
        position, cut_on = await self.position(study_id, frontier, asked)
        cut = self._cut(study_id, study.record, asked.cut, cut_on)
        selection = Selection(cut, scope.sites, asked.subset, asked.by)
        seen = tuple(tenants(rights)) if kind.of_participants else ()
        key = (study_id, frontier.epoch, frontier.position, position, name, cut, asked, scope, seen)
        if key not in self._kept:
            self._kept[key] = await self._computed(kind, study_id, study, rights, position, selection, scope)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return {"figure": name, "study_id": study_id, **self._kept[key]}

    async def position(self, study_id: str, frontier: reading.Frontier, asked: Asked) -> tuple[int, date | None]:
        """The position asked for, and the day of a named cut. Raises PositionGone, NotFound or Unacceptable."""
        if asked.epoch and asked.epoch != frontier.epoch:
            raise PositionGone
        if asked.at and asked.as_of:
            raise wrong_parameter("at", "Give `at` or `as_of`, but not both.")
        if asked.as_of:
            position = await reading.position_as_of(self._system, study_id, asked.as_of)
            return frontier.position if position is None else position, None
        if asked.at is None:
            return frontier.position, None
        if named := _CUT.fullmatch(asked.at):
            taken = await reading.cut(self._system, study_id, named[1])
            if taken is None:
                raise NotFound("This study has no data cut of that name.")
            return taken
        if not _POSITION.fullmatch(asked.at) or int(asked.at) > frontier.position:
            raise wrong_parameter("at", f"Give a position from 0 to {frontier.position}, or cut:<name> of a data cut.")
        return int(asked.at), None

    async def _computed(
        self, kind: FigureKind, study_id: str, study: StudyState, rights: Rights, position: int,
        selection: Selection, scope: _Scope,
    ) -> dict[str, Any]:  # fmt: skip
        recorded = await reading.recorded_at(self._system, study_id, position)
        seen = await self._cohort(kind, study_id, study, rights, position, selection.cut, recorded)
        answer = await asyncio.to_thread(kind.compute, seen, selection)
        answer["left_out"] = selection.left_out(seen)
        if scope.withhold_small:
            whole = selection.sites is None and selection.subset == "all"
            answer = withheld(answer, _small_cell(study.record), whole=whole)
        return {
            "position": position,
            "recorded_at": recorded.isoformat() if recorded else None,
            "cut": selection.cut.isoformat(),
            "parameters": _parameters(selection, scope),
            **answer,
        }

    async def _cohort(
        self, kind: FigureKind, study_id: str, study: StudyState, rights: Rights, position: int, cut: date,
        recorded: datetime | None,
    ) -> Cohort:  # fmt: skip
        out = await self.out(study_id)
        if kind.of_participants:
            events = await self.facts_seen(study_id, rights, position)
        else:
            events = await reading.facts_at(self._system, study_id, position)
        then = await reading.study_at(self._system, study_id, position)
        planned = then if then.facts(Opened) else study.record  # before the study was opened nobody was in it either
        return await asyncio.to_thread(cohort, planned, events, out, cut, self.known_on(study_id, recorded))

    async def out(self, study_id: str) -> frozenset[str]:
        """Participants that nothing may be shown of today."""
        closing = await reading.closing_facts(self._system, study_id)
        return frozenset(event.stream_id for event in closing if is_out(event.stated().fact))

    async def facts_seen(self, study_id: str, rights: Rights, position: int) -> list[Event]:
        """What stood of the participants whom the member sees, by where they are now: under row-level security."""
        events = []
        for site in tenants(rights):
            async with transaction(self._app, Tenant(study_id, site)) as connection:
                events += await reading.facts_at(connection, study_id, position)
        return events

    def todays(self, study_id: str, study: Record) -> dict[str, date]:
        """The calendar day at each site of the study."""
        return {each.site_id: self._clock.today(study_id, each.time_zone) for each in study.facts(SiteActivated)}


def _small_cell(study: Record) -> int:
    """What readers are not shown: the highest bound that any protocol of the study has set."""
    opened, amended = study.facts(Opened), study.facts(ProtocolAmended)
    return max(protocol.small_cell for protocol in (*(o.protocol for o in opened), *(a.protocol for a in amended)))


def _scope(kind: FigureKind, rights: Rights, site: str | None) -> _Scope:
    """Whoever holds a grant for the whole study sees it whole, others their own sites.

    Single participants are seen by where they are now, which row-level security sees to; counts go by enrolling site.
    """
    if kind.of_participants and not rights.visible:
        raise NotYourRole
    sites = rights.visible if kind.of_participants else frozenset(grant.scope for grant in rights.grants)
    whole = EVERY_SITE in sites
    if site is not None and not (whole or site in sites):
        raise NotYourRole
    own = None if whole or kind.of_participants else sites
    chosen = frozenset({site}) if site is not None else own
    seen = frozenset(sites) if kind.of_participants and not whole else None
    return _Scope(chosen, all(grant.role == "reader" for grant in rights.grants), seen)


def tenants(rights: Rights) -> list[str]:
    """As whom single participants are read: the whole study, or one site after the other."""
    return [EVERY_SITE] if EVERY_SITE in rights.visible else sorted(rights.visible)


def withheld(answer: dict[str, Any], small_cell: int, *, whole: bool) -> dict[str, Any]:
    """Without cells of fewer participants than `small_cell`: of groups, and of the counts of a site or a subset.

    Where anything is withheld, `withheld_below` says so.
    """
    kept = _withheld(answer, small_cell, whole=whole)
    return kept if kept == answer else {**kept, "withheld_below": small_cell}


def _withheld(answer: dict[str, Any], small_cell: int, *, whole: bool) -> dict[str, Any]:
    groups = answer.get("groups", [])
    if any(group["name"] != "all" for group in groups):
        answer = {**answer, "groups": [_group_withheld(group, small_cell) for group in groups]}
    if whole:
        return answer
    hidden = {name for name, value in answer.items() if type(value) is int and 0 < value < small_cell}
    hidden -= {"imputed_dates"}
    if "stereotactic" in hidden or "enrolled" in hidden:
        hidden |= {"stereotactic_percent", "stereotactic_interval"} & answer.keys()
    kept = {name: None if name in hidden else value for name, value in answer.items()}
    return {**kept, "groups": [_group_withheld(group, small_cell) for group in groups]} if groups else kept


def _group_withheld(group: dict[str, Any], small_cell: int) -> dict[str, Any]:
    if 0 < group["enrolled"] < small_cell:
        return {**group, "enrolled": None, "curve": []}
    return group


def _parameters(selection: Selection, scope: _Scope) -> dict[str, Any]:
    """What narrows the figure, whether it was asked for or is all that the caller may see."""
    shown = {
        "site": _joined(selection.sites),
        "followed_at": _joined(scope.seen),
        "subset": selection.subset,
        "by": selection.by,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _joined(sites: frozenset[str] | None) -> str | None:
    return ",".join(sorted(sites)) or None if sites is not None else None
