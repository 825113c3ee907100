"""Figures on request: who may see which, computed from a snapshot of the study, and kept while nothing has moved."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import date
from typing import Any

from services.analytics.cohort.cohort import Selection
from services.analytics.figures.disclosure import small_cell_threshold, suppress_small_cells
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.registry import FIGURES, FigureDefinition
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
    """Computes figures off the event loop and keeps the newest answers."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader = reader
        self._cache: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()

    async def figure(self, name: str, study_id: str, member: str, request: FigureRequest) -> dict[str, Any]:
        """Returns the `.json` answer. Raises NotFound, Forbidden, PositionGone or RequestRejected."""
        current = await self._reader.projection_position(study_id)
        rights, study = await load_rights(self._reader.studies, study_id, member)
        definition = _require_figure(name, request.by)
        scope = read_scope(rights, request.site, participant_level=definition.participant_level)
        require_site(study.record, request.site)
        resolved = await self._reader.resolve_position(study_id, current, request.as_of)
        cut = self._resolve_cut(study_id, study.record, request.cut, resolved.cut_on)
        visible_to = rights if definition.participant_level else None
        visible_tenants = tuple(readable_tenants(rights)) if visible_to else ()
        key = (study_id, current.epoch, current.position, resolved, name, cut, request, scope, visible_tenants)
        if key not in self._cache:
            selection = Selection(cut, scope.enrolling_sites, request.subset, request.by)
            snapshot = await self._reader.snapshot(study_id, study.record, resolved.position, visible_to)
            threshold = small_cell_threshold(study.record) if scope.suppress_small_cells else None
            self._cache[key] = await asyncio.to_thread(_compute, definition, snapshot, selection, scope, threshold)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return {"figure": name, "study_id": study_id, **self._cache[key]}

    def _resolve_cut(self, study_id: str, study: Record, requested: date | None, named_cut_day: date | None) -> date:
        """Returns the data cut-off: the requested one, that of a named cut, or today. Raises RequestRejected."""
        today = self._reader.latest_today(study_id, study)
        if requested and requested > today:
            raise parameter_error("cut", f"Give no day after the study's today, {today.isoformat()}.")
        return requested or named_cut_day or today


def _require_figure(name: str, by: str | None) -> FigureDefinition:
    definition = FIGURES.get(name)
    if definition is None:
        raise NotFound
    if by and by not in definition.stratifications:
        possible = ", ".join(definition.stratifications) or "nothing"
        raise parameter_error("by", f"This figure can be divided by: {possible}.")
    return definition


def _compute(
    definition: FigureDefinition, snapshot: StudySnapshot, selection: Selection, scope: ReadScope, threshold: int | None
) -> dict[str, Any]:
    cohort = snapshot.cohort(selection.cut)
    result = definition.compute(cohort, selection)
    result["left_out"] = selection.count_excluded(cohort)
    if threshold is not None:
        is_whole_study = selection.sites is None and selection.subset == "all"
        result = suppress_small_cells(result, threshold, is_whole_study=is_whole_study)
    return {
        "position": snapshot.position,
        "recorded_at": snapshot.recorded_at.isoformat() if snapshot.recorded_at else None,
        "cut": selection.cut.isoformat(),
        "parameters": _effective_filters(selection, scope),
        **result,
    }


def _effective_filters(selection: Selection, scope: ReadScope) -> dict[str, Any]:
    """Returns what narrows the figure: what the request gave, and what limits the member."""
    filters = {
        "site": _join_sites(selection.sites),
        "followed_at": _join_sites(scope.current_sites),
        "subset": selection.subset,
        "by": selection.by,
    }
    return {name: value for name, value in filters.items() if value is not None}


def _join_sites(sites: frozenset[str] | None) -> str | None:
    return ",".join(sorted(sites)) or None if sites is not None else None
