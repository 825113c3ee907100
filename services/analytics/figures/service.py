"""Figures on request: authorized, computed from a snapshot of the study, and cached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from services.analytics.figures.figure import Figure, FigureAnswer, FigureContext
from services.analytics.figures.files import render_file
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.page_content import DrawnFigure, draw_figure
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.png import PngFiles
from services.analytics.figures.publications import Publications
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.row_pages import FIRST_PAGE, PageRequest, PageSelector
from services.analytics.figures.sealed import SealedAnswer, SealedFigures, SealedPage, computed_state
from services.analytics.snapshot.access import ReadScope, read_scope
from services.analytics.snapshot.as_of import LATEST, ResolvedPosition, cut_name
from services.analytics.snapshot.selection import DEFAULT_LANDMARKS, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.study_reader import StudyReader
from shared.async_cache import AsyncCache
from shared.contracts.study import StudyOpened
from shared.eventstore.study_cache import StudyState, load_rights
from shared.gate.study_timeline import require_site
from shared.kernel.errors import NotFound, RequestError, parameter_error
from shared.kernel.record import Record
from shared.security.grants import Rights, readable_tenants

CACHE_SIZE, WHOLE_TABLE_CACHE_SIZE = 64, 2
_FIRST_PAGES: Mapping[str, int] = {}


class FigureService:
    """Computes figures off the event loop, and keeps the answers that were asked for last."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader, self._sealed, self._publications = reader, SealedFigures(reader), Publications(reader)
        self._answers = AsyncCache[FigureAnswer](CACHE_SIZE)
        self._whole_tables = AsyncCache[FigureAnswer](WHOLE_TABLE_CACHE_SIZE)
        self._drawn = AsyncCache[DrawnFigure](CACHE_SIZE)
        self._png_files = PngFiles()

    async def figure(
        self,
        name: str,
        study_id: str,
        member: str,
        request: FigureRequest,
        page_numbers: Mapping[str, int] = _FIRST_PAGES,
    ) -> FigureAnswer:
        """Returns a figure as the member may see it; readers see publications.

        Raises NotFound, Forbidden, PositionGone or RequestRejected.
        """
        (answer,) = [answer async for answer in self.figures([name], study_id, member, request, page_numbers)]
        if isinstance(answer, RequestError):
            raise answer
        return answer

    async def drawn(self, answer: FigureAnswer) -> DrawnFigure:
        """Returns an answer with its picture, words and table. Everybody who has the same answer gets the same ones."""
        # A figure that is kept keeps its answer, so no other answer has the same id.
        return await self._drawn.get(id(answer), lambda: asyncio.to_thread(draw_figure, answer))

    async def render(self, answer: FigureAnswer, file_format: str) -> bytes:
        """Returns the bytes of a file of a figure, in a format of `MEDIA_TYPES`. The last pictures are kept."""
        if file_format != "png":
            return await asyncio.to_thread(render_file, answer, file_format)
        return await self._png_files.get(await asyncio.to_thread(render_file, answer, "svg"))

    async def sealed_file(
        self, name: str, study_id: str, member: str, request: FigureRequest, file_format: str
    ) -> SealedAnswer | None:
        """Returns the stored file of a figure at a sealed data cut; None for a request that it does not answer.

        Raises NotFound, Forbidden or PositionGone.
        """
        rights, _ = await load_rights(self._reader.studies, study_id, member)
        return await self._sealed.file(_require_figure(name), study_id, rights, request, file_format)

    async def sealed_page(
        self, name: str, study_id: str, member: str, request: FigureRequest, page_numbers: Mapping[str, int]
    ) -> SealedPage | None:
        """Returns a figure at a sealed data cut as pages show it; None if it has to be computed, or is refused.

        Raises NotFound.
        """
        if name in page_numbers:
            return None
        rights, _ = await load_rights(self._reader.studies, study_id, member)
        try:
            return await self._sealed.page(_require_figure(name), study_id, rights, request)
        except RequestError:
            return None

    async def figures(
        self,
        names: Sequence[str],
        study_id: str,
        member: str,
        request: FigureRequest,
        page_numbers: Mapping[str, int] = _FIRST_PAGES,
    ) -> AsyncIterator[FigureAnswer | RequestError]:
        """Yields figures as the member may see them, all at one position, or the refusal in place of one.

        `page_numbers`: the page of each figure by name, of those that do not show that of the request.
        Raises NotFound, Forbidden, PositionGone or RequestRejected for a request that holds for no figure.
        """
        rights, study = await load_rights(self._reader.studies, study_id, member)
        _require_page_numbers(page_numbers)
        if rights.is_reader:
            compute = partial(self._publications.figure, study_id, study.record, rights)
        else:
            newest = await self._newest(study_id, study.record)
            compute = partial(self._figure, study, rights, newest)
        for name in names:
            number = page_numbers.get(name)
            figure_request = replace(request, page=PageRequest(number=number)) if number else request
            try:
                yield await compute(figure_request, _require_figure(name))
            except RequestError as refusal:
                yield refusal

    async def _newest(self, study_id: str, study: Record) -> StudySnapshot:
        newest = await self._reader.newest_snapshot(study_id)
        return newest if newest.study.facts_of(StudyOpened) else replace(newest, study=study)  # nothing is derived yet

    async def _figure(
        self, study: StudyState, rights: Rights, newest: StudySnapshot, request: FigureRequest, figure: type[Figure]
    ) -> FigureAnswer:
        _require_stratification(figure, request.by)
        _require_pages(figure, request.page)
        scope = read_scope(rights, request.site, participant_level=figure.DISCLOSURE.person_level)
        require_site(study.record, request.site)
        study_id, visible_to = newest.study_id, rights if figure.DISCLOSURE.person_level else None
        resolved = await self._resolve(study_id, request, newest)
        cut_date = await self._resolve_cut_date(study_id, study.record, request, resolved)
        request = request.for_figure(figure)
        selection = select(request, scope, cut_date, is_named_cut=cut_date == resolved.named_cut_date)
        filters = effective_filters(selection, scope, request)
        named_cut = cut_name(request.as_of.at) if request.as_of.at else None
        seal = await self._sealed.find_seal(study_id, named_cut)
        rows = request.page.selector(
            [
                study_id,
                newest.epoch,
                figure.NAME,
                f"{resolved.position} {cut_date}",
                filters.model_dump_json(exclude_none=True),
            ]
        )
        visible_tenants = tuple(readable_tenants(rights)) if visible_to else ()
        key = (
            study_id,
            newest.epoch,
            newest.position,
            newest.revision,
            resolved,
            figure.NAME,
            cut_date,
            request,
            scope,
            visible_tenants,
            seal and seal.digest,
        )

        async def compute() -> FigureAnswer:
            snapshot = await self._snapshot(figure.limit_tables(newest), study.record, resolved.position, visible_to)
            answer = await asyncio.to_thread(compute_answer, figure, snapshot, selection, filters, rows)
            answer = answer.with_literature(snapshot.study) if request.literature else answer
            return answer.with_seal(computed_state(seal, snapshot, selection)) if named_cut else answer

        return await (self._whole_tables if request.page.all_rows else self._answers).get(key, compute)

    async def _resolve(self, study_id: str, request: FigureRequest, newest: StudySnapshot) -> ResolvedPosition:
        """Returns the position that the request selects; without a selection that of the newest snapshot."""
        if request.as_of == LATEST:
            return ResolvedPosition(newest.position)
        return await self._reader.resolve_position(
            study_id, await self._reader.projection_position(study_id), request.as_of
        )

    async def _snapshot(
        self, newest: StudySnapshot, study: Record, position: int, visible_to: Rights | None
    ) -> StudySnapshot:
        """Returns the rows at a position of the participants that the member sees; of all without `visible_to`."""
        if newest.position != position:
            return await self._reader.past_snapshot(newest.study_id, study, position, visible_to)
        if visible_to is None:
            return newest
        visible = await self._reader.visible_participants(newest.study_id, visible_to)
        return await asyncio.to_thread(newest.limited_to, visible)

    async def _resolve_cut_date(
        self, study_id: str, study: Record, request: FigureRequest, resolved: ResolvedPosition
    ) -> date:
        """Returns the data cut-off: the requested one, that of a named cut, or the day of the position.

        The day of the newest position is today. Raises RequestRejected for a day after the study's today.
        """
        today = self._reader.latest_today(study_id, study)
        if request.cut_date and request.cut_date > today:
            raise parameter_error("cut", f"Give no day after the study's today, {today.isoformat()}.")
        if chosen := request.cut_date or resolved.named_cut_date:
            return chosen
        return await self._reader.default_cut_date(study_id, study, request.as_of, resolved.position)


def _require_figure(name: str) -> type[Figure]:
    figure = FIGURES.get(name)
    if figure is None:
        raise NotFound
    return figure


def _require_stratification(figure: type[Figure], by: str | None) -> None:
    if by and by not in figure.STRATIFICATIONS:
        possible = ", ".join(figure.STRATIFICATIONS)
        choice = f"This figure can be divided by: {possible}." if possible else "This figure is never divided."
        raise parameter_error("by", f"{choice} {'Give one of them' if possible else 'Leave `by` out'}.")


def _require_page_numbers(page_numbers: Mapping[str, int]) -> None:
    with_pages = [name for name, figure in FIGURES.items() if figure.has_pages()]
    if not page_numbers.keys() <= set(with_pages):
        raise parameter_error("pages", f"These figures have pages: {', '.join(with_pages)}. Name no other.")


def _require_pages(figure: type[Figure], page: PageRequest) -> None:
    chosen = page if not page.all_rows else replace(page, all_rows=False)
    if chosen == FIRST_PAGE or (figure.has_pages() and not page.all_rows):
        return
    parameter = "after" if page.after else "page" if page.number > 1 else "limit"
    reason = "The .csv file has the rows of all pages." if figure.has_pages() else "This figure has no pages."
    raise parameter_error(parameter, f"{reason} Leave out `after`, `page` and `limit`.")


def select(request: FigureRequest, scope: ReadScope, cut_date: date, *, is_named_cut: bool) -> Selection:
    """Returns the participants and the days that a request selects within the limits of the member."""
    return Selection(
        cut_date,
        sites=scope.enrolling_sites,
        subset=request.subset,
        by=request.by,
        origin=request.origin,
        landmarks=request.landmarks or DEFAULT_LANDMARKS,
        toxicity=request.toxicity,
        is_named_cut=is_named_cut,
        event=request.event or "failure",
        sort=request.sort or "duration",
    )


def compute_answer(
    figure_type: type[Figure],
    snapshot: StudySnapshot,
    selection: Selection,
    filters: FigureFilters,
    rows: PageSelector,
) -> FigureAnswer:
    """Returns a figure of a snapshot. `filters`: those of the selection, as the answer states them."""
    context = FigureContext(
        study_id=snapshot.study_id,
        position=snapshot.position,
        recorded_at=snapshot.recorded_at,
        cut_date=selection.cut_date,
        filters=filters,
    )
    return FigureAnswer(figure=figure_type.compute(snapshot, selection, rows), context=context)


def effective_filters(selection: Selection, scope: ReadScope, request: FigureRequest) -> FigureFilters:
    """Returns the filters of the request and the limits of the member."""
    return FigureFilters(
        site=_join_sites(selection.sites),
        followed_at=_join_sites(scope.current_sites),
        subset=selection.subset,
        by=selection.by,
        origin=request.origin,
        landmarks=",".join(map(str, request.landmarks)) if request.landmarks else None,
        event=request.event,
        window=request.window,
        late_after=request.late_after,
        late_from=request.late_from,
        emergent=request.emergent,
        sort=request.sort,
        literature=request.literature,
    )


def _join_sites(sites: frozenset[str] | None) -> str | None:
    return ",".join(sorted(sites)) or None if sites is not None else None
