"""Figures on request: authorized, computed from a snapshot of the study, and cached."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from datetime import date

from services.analytics.cohort.cohort import Selection
from services.analytics.figures.figure import Figure, FigureAnswer, FigureContext, FigureFilters
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.publications import Publications
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.access import ReadScope, read_scope
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.study_reader import StudyReader
from shared.eventstore.study_cache import load_rights
from shared.gate.study_timeline import require_site
from shared.kernel.errors import NotFound, parameter_error
from shared.kernel.record import Record
from shared.security.grants import readable_tenants

CACHE_SIZE = 64


class FigureService:
    """Computes figures off the event loop, and caches the newest answers."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader, self._publications = reader, Publications(reader)
        self._cache: OrderedDict[Hashable, FigureAnswer] = OrderedDict()

    async def figure(self, name: str, study_id: str, member: str, request: FigureRequest) -> FigureAnswer:
        """Returns a figure as the member may see it; readers see publications.

        Raises NotFound, Forbidden, PositionGone or RequestRejected.
        """
        current = await self._reader.projection_position(study_id)
        rights, study = await load_rights(self._reader.studies, study_id, member)
        figure = _require_figure(name)
        if rights.is_reader:
            return await self._publications.figure(figure, study_id, study.record, rights, request)
        _require_stratification(figure, request.by)
        scope = read_scope(rights, request.site, participant_level=figure.DISCLOSURE.person_level)
        require_site(study.record, request.site)
        resolved = await self._reader.resolve_position(study_id, current, request.as_of)
        cut_date = self._resolve_cut_date(study_id, study.record, request.cut_date, resolved.named_cut_date)
        visible_to = rights if figure.DISCLOSURE.person_level else None
        visible_tenants = tuple(readable_tenants(rights)) if visible_to else ()
        key = (study_id, current.epoch, current.position, resolved, name, cut_date, request, scope, visible_tenants)
        if key not in self._cache:
            selection = Selection(cut_date, scope.enrolling_sites, request.subset, request.by)
            snapshot = await self._reader.snapshot(study_id, study.record, resolved.position, visible_to)
            self._cache[key] = await asyncio.to_thread(_compute, figure, snapshot, selection, scope)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return self._cache[key]

    def _resolve_cut_date(
        self, study_id: str, study: Record, requested: date | None, named_cut_date: date | None
    ) -> date:
        """Returns the data cut-off: the requested one, that of a named cut, or today. Raises RequestRejected."""
        today = self._reader.latest_today(study_id, study)
        if requested and requested > today:
            raise parameter_error("cut", f"Give no day after the study's today, {today.isoformat()}.")
        return requested or named_cut_date or today


def _require_figure(name: str) -> type[Figure]:
    figure = FIGURES.get(name)
    if figure is None:
        raise NotFound
    return figure


def _require_stratification(figure: type[Figure], by: str | None) -> None:
    if by and by not in figure.STRATIFICATIONS:
        possible = ", ".join(figure.STRATIFICATIONS) or "nothing"
        raise parameter_error("by", f"This figure can be divided by: {possible}.")


def _compute(
    figure_type: type[Figure], snapshot: StudySnapshot, selection: Selection, scope: ReadScope
) -> FigureAnswer:
    context = FigureContext(
        study_id=snapshot.study_id,
        position=snapshot.position,
        recorded_at=snapshot.recorded_at,
        cut_date=selection.cut_date,
        filters=_effective_filters(selection, scope),
    )
    return FigureAnswer(figure=figure_type.compute(snapshot.cohort(selection.cut_date), selection), context=context)


def _effective_filters(selection: Selection, scope: ReadScope) -> FigureFilters:
    """Returns the filters of the request and the limits of the member."""
    return FigureFilters(
        site=_join_sites(selection.sites),
        followed_at=_join_sites(scope.current_sites),
        subset=selection.subset,
        by=selection.by,
    )


def _join_sites(sites: frozenset[str] | None) -> str | None:
    return ",".join(sorted(sites)) or None if sites is not None else None
