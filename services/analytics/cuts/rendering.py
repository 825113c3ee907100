"""Computes the figures of a data cut for every scope, with default parameters, and renders their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import product

from services.analytics.cuts.repository import FigureFile
from services.analytics.figures.figure import Figure, FigureAnswer
from services.analytics.figures.files import TEXT_FORMATS, file_name_parts, render_file
from services.analytics.figures.page_content import render_page_content
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.png import SCALE, draw_pictures
from services.analytics.figures.publishing import publish_at_cut
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.row_pages import FIRST_PAGE
from services.analytics.figures.seal_state import SealState
from services.analytics.figures.service import compute_answer, effective_filters, select
from services.analytics.snapshot.access import ReadScope
from services.analytics.snapshot.seals import READERS_SCOPE, STUDY_SCOPE, SealedFile, SealScope, site_scope
from services.analytics.snapshot.study_at_cut import StudyAtCut
from shared.contracts.study import SiteActivated
from shared.kernel.errors import ReadersSeeCuts
from shared.kernel.record import Record
from shared.progress import ReportProgress, report_nothing

_DEFAULT_REQUEST = FigureRequest()
_TEXTS_OF_A_FIGURE = len(TEXT_FORMATS) + 1
"""The files of a figure that are text: those of `TEXT_FORMATS`, and the page."""


def count_files(study: Record) -> int:
    """Returns the number of files of a data cut, each figure for each scope, by the study's own facts at the cut.

    It is an upper bound: readers are refused some figures, whose files count as done once that is found.
    """
    return len(_scopes(study)) * len(FIGURES) * (_TEXTS_OF_A_FIGURE + 1)


def _scopes(study: Record) -> Sequence[SealScope]:
    site_ids = sorted({site.site_id for site in study.facts_of(SiteActivated)})
    return [STUDY_SCOPE, *map(site_scope, site_ids), READERS_SCOPE]


def render_files(
    study: StudyAtCut, scale: float = SCALE, report_progress: ReportProgress = report_nothing
) -> list[FigureFile]:
    """Returns the files of all figures for the whole study, each site of the study, and, if published, readers.

    `scale`: dots of a PNG file for each pixel of its picture. `report_progress` is called as files are made, with their
    number and that of `count_files`.
    """
    record, files = study.snapshot.study, list[FigureFile]()
    figures, total = list(product(_scopes(record), FIGURES.values())), count_files(record)
    for number, (scope, figure_type) in enumerate(figures, start=1):
        files += _render_unless_refused(study, scope, figure_type)
        report_progress(number * _TEXTS_OF_A_FIGURE, total)
    pictures = [file for file in files if file.file_format == "svg"]
    png_contents = draw_pictures(
        [picture.file.content for picture in pictures],
        scale,
        lambda done, of: report_progress(total - len(figures) + len(figures) * done // of, total),
    )
    return files + [_png_file(picture, content) for picture, content in zip(pictures, png_contents, strict=True)]


def _png_file(picture: FigureFile, content: bytes) -> FigureFile:
    own = replace(picture.file, content=content, sha256=sha256(content).digest())
    return replace(picture, file_format="png", file=own)


def render_scope(study: StudyAtCut, scope: SealScope) -> Iterator[FigureFile]:
    """Yields the files of all figures for a scope that are text."""
    for figure_type in FIGURES.values():
        yield from _render_unless_refused(study, scope, figure_type)


def _render_unless_refused(study: StudyAtCut, scope: SealScope, figure_type: type[Figure]) -> list[FigureFile]:
    try:
        return list(_render_figure(study, scope, figure_type))
    except ReadersSeeCuts:  # readers never see the figure
        return []


def _render_figure(study: StudyAtCut, scope: SealScope, figure_type: type[Figure]) -> Iterator[FigureFile]:
    answer = _answer(study, scope, figure_type, _DEFAULT_REQUEST)
    parts, participant_rows = tuple(file_name_parts(answer)), answer.figure.count_participant_rows()
    for file_format in TEXT_FORMATS:
        if file_format == "csv" and figure_type.has_pages():
            every_row = replace(_DEFAULT_REQUEST, page=replace(FIRST_PAGE, all_rows=True))
            table = _answer(study, scope, figure_type, every_row)
            file = _file(
                render_file(table, file_format), tuple(file_name_parts(table)), table.figure.count_participant_rows()
            )
        else:
            file = _file(render_file(answer, file_format), parts, participant_rows)
        yield FigureFile(scope, figure_type.NAME, file_format, file)
    yield FigureFile(scope, figure_type.NAME, "page", _file(render_page_content(answer), parts, participant_rows))


def _file(content: bytes, parts: tuple[str, ...], participant_rows: int) -> SealedFile:
    return SealedFile(
        content=content,
        sha256=sha256(content).digest(),
        file_name_parts=parts,
        participant_rows=participant_rows,
    )


def _answer(study: StudyAtCut, scope: SealScope, figure_type: type[Figure], request: FigureRequest) -> FigureAnswer:
    """Returns a figure as members of the scope see it at the cut, marked as sealed."""
    seal = SealState(is_sealed=True, is_later=study.sealed_later)
    if scope == READERS_SCOPE:
        return publish_at_cut(figure_type, study.snapshot, study.cut, requested_cut=study.cut).with_seal(seal)
    cut_date, is_person_level = study.cut.cut_on, figure_type.DISCLOSURE.person_level
    site = None if scope.site_id is None else frozenset({scope.site_id})
    limits = ReadScope(None if is_person_level else site, site if is_person_level else None)
    snapshot = study.snapshot_of_site(scope.site_id) if is_person_level else study.snapshot
    request = request.for_figure(figure_type)
    selection = select(request, limits, cut_date, is_named_cut=True)
    filters = effective_filters(selection, limits, request)
    list_parts = [snapshot.study_id, study.epoch, figure_type.NAME, f"{study.cut.position} {cut_date}"]
    rows = request.page.selector([*list_parts, filters.model_dump_json(exclude_none=True)])
    return compute_answer(figure_type, snapshot, selection, filters, rows).with_seal(seal)
