"""Sealed figures on request: which stored file answers, and how a computed figure relates to the seal of its cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.analytics.figures.figure import Figure
from services.analytics.figures.page_content import PageContent
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.seal_state import SealState
from services.analytics.snapshot.access import read_scope
from services.analytics.snapshot.as_of import LATEST, cut_name, require_epoch
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE
from services.analytics.snapshot.seals import READERS_SCOPE, STUDY_SCOPE, CutSeal, SealedFile, SealScope, site_scope
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.study_reader import StudyReader
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights

_DEFAULT_REQUEST = FigureRequest()


def find_scope(rights: Rights, figure_type: type[Figure]) -> SealScope | None:
    """Returns the scope whose sealed bytes a member sees without any parameter.

    None for members of several sites, for readers of a single site, whose figures were not sealed, and for figures
    that readers never see. Raises Forbidden.
    """
    if rights.is_reader:
        is_study_wide = any(grant.scope == EVERY_SITE for grant in rights.grants)
        return READERS_SCOPE if is_study_wide and not figure_type.DISCLOSURE.person_level else None
    scope = read_scope(rights, None, participant_level=figure_type.DISCLOSURE.person_level)
    sites = scope.enrolling_sites or scope.current_sites
    if sites is None:
        return STUDY_SCOPE
    return site_scope(next(iter(sites))) if len(sites) == 1 else None


@dataclass(frozen=True, slots=True)
class SealedAnswer:
    """A file of a figure as it was sealed, and the seal of its data cut."""

    seal: CutSeal
    file: SealedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPage:
    """A figure on a page as it was sealed. `is_publication`: as readers see it."""

    cut_name: str
    is_publication: bool
    content: PageContent
    picture: str
    participant_rows: int


class SealedFigures:
    """Reads sealed figures of studies."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader = reader

    async def file(
        self, figure_type: type[Figure], study_id: str, rights: Rights, request: FigureRequest, file_format: str
    ) -> SealedAnswer | None:
        """Returns the stored file of a figure with default parameters at a data cut.

        None for any other request, and while the cut is not sealed. Raises Forbidden or PositionGone.
        """
        if (scope := find_scope(rights, figure_type)) is None:
            return None
        if (seal := await self._requested_seal(study_id, rights, request)) is None:
            return None
        cut_date = None if request.cut_date == seal.cut_on and not rights.is_reader else request.cut_date
        if replace(request.for_figure(figure_type), as_of=LATEST, cut_date=cut_date) != _DEFAULT_REQUEST:
            return None
        require_epoch(request.as_of, await self._reader.projection_position(study_id))
        file = await self._reader.seals.file(study_id, seal.name, scope, figure_type.NAME, file_format)
        return SealedAnswer(seal, file) if file else None

    async def page(
        self, figure_type: type[Figure], study_id: str, rights: Rights, request: FigureRequest
    ) -> SealedPage | None:
        """Returns a figure with default parameters at a data cut, as pages show it; None as `file` does.

        Raises Forbidden or PositionGone.
        """
        words = await self.file(figure_type, study_id, rights, request, "page")
        picture = await self.file(figure_type, study_id, rights, request, "svg")
        if words is None or picture is None:
            return None
        return SealedPage(
            cut_name=words.seal.name,
            is_publication=rights.is_reader,
            content=PageContent.model_validate_json(words.file.content),
            picture=picture.file.content.decode(),
            participant_rows=words.file.participant_rows,
        )

    async def _requested_seal(self, study_id: str, rights: Rights, request: FigureRequest) -> CutSeal | None:
        """Returns the seal of the data cut that a request names; for readers without a name that of the last cut."""
        as_of = request.as_of
        if as_of.recorded_until or (as_of.at is None and not rights.is_reader):
            return None
        name = cut_name(as_of.at) if as_of.at else await self._last_cut(study_id)
        return await self.find_seal(study_id, name)

    async def _last_cut(self, study_id: str) -> str | None:
        cuts = await self._reader.data_cuts(study_id)
        return cuts[-1].name if cuts else None

    async def find_seal(self, study_id: str, name: str | None) -> CutSeal | None:
        """Returns the seal of a data cut; None while it is not sealed, and without a `name`."""
        return await self._reader.seals.seal(study_id, name) if name else None


def computed_state(seal: CutSeal | None, snapshot: StudySnapshot, selection: Selection) -> SealState:
    """Returns how a figure that is computed for a request at a named data cut relates to the seal of the cut.

    `snapshot`: without the participants who are excluded today.
    """
    if seal is None:
        return SealState(is_sealed=False)
    ids = snapshot.subjects["participant_id"]
    counted_then = ~np.isin(ids, np.array(sorted(seal.excluded), dtype=PARTICIPANT_DTYPE))
    excluded_since = selection.count_excluded(snapshot.limited_to(ids[counted_then]))
    return SealState(is_sealed=False, excluded_since=excluded_since)
