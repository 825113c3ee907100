"""The changes of a study since a data cut or a position, as far as a member may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from uuid import UUID

from services.analytics.cuts.changes import (
    Changes,
    ComparedPosition,
    FactDifference,
    compare_numbers,
    compare_participants,
)
from services.analytics.cuts.repository import fact_changes
from services.analytics.figures.figure import FigureAnswer
from services.analytics.figures.page_content import PageContent, page_content
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.snapshot.as_of import AsOf, cut_name
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.errors import parameter_error
from shared.security.grants import Rights

_NO_PAGES: Mapping[str, int] = {}


class ChangeService:
    """Compares the newest state of studies with earlier ones."""

    def __init__(self, reader: StudyReader, figures: FigureService) -> None:
        self._reader, self._figures = reader, figures

    async def changes(self, study_id: str, member: str, since: str) -> Changes:
        """Returns what has changed since a data cut (`cut:<name>`) or a position, of the participants the member sees.

        Raises NotFound, Forbidden or ReadersSeeCuts, and RequestRejected for a position that is not reached yet.
        """
        rights, study = await self._reader.participant_rights(study_id, member)
        earlier_position = await self._resolve(study_id, since)
        newest = await self._reader.newest_snapshot(study_id)
        excluded = await self._excluded_before(study_id, since)
        before = await self._reader.past_snapshot(study_id, study.record, earlier_position, rights, excluded=excluded)
        after = newest.limited_to(await self._reader.visible_participants(study_id, rights))
        came, left = await asyncio.to_thread(compare_participants, before, after)
        earlier_numbers = await self._headlines(study_id, member, FigureRequest(as_of=AsOf(at=since)))
        newest_numbers = await self._headlines(study_id, member, FigureRequest())
        return Changes(
            study_id=study_id,
            since=since,
            before=ComparedPosition(
                position=earlier_position, recorded_at=before.recorded_at, cut_date=_cut_date(earlier_numbers)
            ),
            after=ComparedPosition(
                position=newest.position, recorded_at=newest.recorded_at, cut_date=_cut_date(newest_numbers)
            ),
            facts=await self._facts(study_id, rights, earlier_position, newest.position),
            participants_in=came,
            participants_out=left,
            numbers=compare_numbers(earlier_numbers, newest_numbers),
        )

    async def _resolve(self, study_id: str, since: str) -> int:
        current = await self._reader.projection_position(study_id)
        if since.isdecimal() and int(since) > current.position:
            raise parameter_error(
                "since", f"Give a position from 0 to {current.position}, or cut:<name> of a data cut."
            )
        return (await self._reader.resolve_position(study_id, current, AsOf(at=since))).position

    async def _excluded_before(self, study_id: str, since: str) -> frozenset[str] | None:
        """Returns who is in none of the numbers before: those of a sealed cut, or None for those of today.

        Sealed numbers stay as they are; numbers at a position are computed anew, without anybody who has left.
        """
        name = cut_name(since)
        seal = await self._reader.seals.seal(study_id, name) if name else None
        return seal.excluded if seal else None

    async def _facts(self, study_id: str, rights: Rights, earlier: int, later: int) -> list[FactDifference]:
        """Returns the changed facts in the order of positions. Facts of the study are seen by every tenant, once."""
        by_id, excluded = dict[UUID, FactDifference](), await self._reader.excluded_participants(study_id)
        async with self._reader.open_snapshot(study_id, rights) as snapshot:
            async for connection in snapshot:
                for change in await fact_changes(connection, study_id, earlier, later, excluded):
                    by_id[change.event_id] = change
        return sorted(by_id.values(), key=lambda change: (change.position, change.event_id))

    async def _headlines(self, study_id: str, member: str, request: FigureRequest) -> dict[str, PageContent]:
        """Returns the words of the figures that the member may see, by name; at a sealed cut as they were sealed."""
        contents = dict[str, PageContent]()
        for name in FIGURES:
            if sealed := await self._figures.sealed_page(name, study_id, member, request, _NO_PAGES):
                contents[name] = sealed.content
        computed = [name for name in FIGURES if name not in contents]
        async for answer in self._figures.figures(computed, study_id, member, request):
            if isinstance(answer, FigureAnswer):
                contents[answer.name] = await asyncio.to_thread(page_content, answer)
        return {name: contents[name] for name in FIGURES if name in contents}


def _cut_date(contents: Mapping[str, PageContent]) -> date | None:
    return next((content.cut_date for content in contents.values()), None)
