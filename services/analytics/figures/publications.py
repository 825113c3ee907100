"""Publications on request: figures as readers see them, at the named data cuts of a study."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from services.analytics.disclosure.editions import DividedCut, Edition, find_edition
from services.analytics.figures.figure import Figure, FigureAnswer
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.publishing import (
    Division,
    cuts_until,
    divide,
    publish_at_cut,
    requested_division,
    require_publication,
)
from services.analytics.figures.sealed import SealedFigures, computed_state
from services.analytics.snapshot.as_of import require_epoch
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import DataCut
from services.analytics.snapshot.study_reader import StudyReader
from shared.async_cache import AsyncCache
from shared.gate.study_timeline import require_site
from shared.kernel.errors import SmallGroups
from shared.kernel.record import Record
from shared.security.grants import Rights

ANSWER_CACHE_SIZE = 64
DIVISION_CACHE_SIZE = 256
"""An edition is chosen among all cuts of a study: this is enough for 85 cuts of each way to divide a figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedStudy:
    """A study as readers see it: its own facts of today, the epoch of its positions, and who is excluded today."""

    study_id: str
    epoch: str
    record: Record
    excluded: frozenset[str]


class Publications:
    """Computes figures for readers off the event loop.

    An answer depends on data cuts and on who is excluded from every analysis today, and so is the same after any other
    fact. Answers and divisions are kept.
    """

    def __init__(self, reader: StudyReader) -> None:
        self._reader, self._sealed = reader, SealedFigures(reader)
        self._answers = AsyncCache[FigureAnswer](ANSWER_CACHE_SIZE)
        self._editions = AsyncCache[Edition | None](ANSWER_CACHE_SIZE)
        self._divisions = AsyncCache[DividedCut](DIVISION_CACHE_SIZE)

    async def figure(
        self, study_id: str, study: Record, rights: Rights, request: FigureRequest, figure_type: type[Figure]
    ) -> FigureAnswer:
        """Returns a figure of the publication that the request names, or of the last one.

        Raises ReadersSeeCuts, NothingPublished, NotFound, PositionGone, Forbidden or SmallGroups, and for a site that
        the study does not have RequestRejected.
        """
        require_publication(figure_type, request)
        current = await self._reader.projection_position(study_id)
        require_epoch(request.as_of, current)
        cuts = cuts_until(await self._reader.data_cuts(study_id), request.as_of.at)
        division = requested_division(figure_type, rights, request)
        require_site(study, request.site)
        published = PublishedStudy(
            study_id=study_id,
            epoch=current.epoch,
            record=study,
            excluded=await self._reader.excluded_participants(study_id),
        )
        if division is None:
            return await self._answer(figure_type, published, cuts[-1], cuts[-1])
        edition = await self._find_edition(figure_type, published, cuts, division.by)
        return await self._answer(figure_type, published, cuts[edition.index], cuts[-1], division, edition.days)

    async def _find_edition(
        self, figure_type: type[Figure], published: PublishedStudy, cuts: Sequence[DataCut], by: str
    ) -> Edition:
        """Returns the edition of a division that readers see. Raises SmallGroups if there is none."""

        async def compute() -> Edition | None:
            divided = [await self._divided_cut(figure_type, published, cut, by) for cut in cuts]
            complete = [replace(part, is_complete=published.excluded.isdisjoint(part.members)) for part in divided]
            return await asyncio.to_thread(find_edition, complete, figure_type.edition_days)

        key = (published.study_id, published.epoch, figure_type.NAME, tuple(cuts), by, published.excluded)
        if (edition := await self._editions.get(key, compute)) is None:
            raise SmallGroups
        return edition

    async def _divided_cut(
        self, figure_type: type[Figure], published: PublishedStudy, cut: DataCut, by: str
    ) -> DividedCut:
        """Returns a division as it was when the cut was taken, which no later fact changes."""
        key = (published.study_id, published.epoch, figure_type.NAME, cut, by)

        async def compute() -> DividedCut:
            snapshot = await self._reader.past_snapshot(
                published.study_id, published.record, cut.position, excluded=frozenset()
            )
            return await asyncio.to_thread(divide, figure_type, snapshot, cut.cut_on, by)

        return await self._divisions.get(key, compute)

    async def _answer(
        self,
        figure_type: type[Figure],
        published: PublishedStudy,
        edition: DataCut,
        requested_cut: DataCut,
        division: Division | None = None,
        days: Sequence[date] = (),
    ) -> FigureAnswer:
        seal = await self._sealed.find_seal(published.study_id, requested_cut.name)
        key = (
            published.study_id,
            published.epoch,
            figure_type.NAME,
            edition,
            requested_cut,
            division,
            published.excluded,
            seal and seal.digest,
        )

        async def compute() -> FigureAnswer:
            snapshot = await self._reader.past_snapshot(
                published.study_id, published.record, edition.position, excluded=published.excluded
            )
            publish = partial(publish_at_cut, figure_type, snapshot, edition)
            compute_answer = partial(publish, requested_cut=requested_cut, division=division, days=days)
            answer = await asyncio.to_thread(compute_answer)
            return answer.with_seal(computed_state(seal, snapshot, Selection(edition.cut_on)))

        return await self._answers.get(key, compute)
