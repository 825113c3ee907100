"""Builds the header of a study's pages: title, position, notes, and links to the other pages of the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fastapi import Request

from services.analytics import urls
from services.analytics.snapshot.access import may_see_operations
from services.analytics.snapshot.api import StudyResources
from shared.contracts.study import StudyOpened
from shared.security.grants import Rights
from shared.ui.navigation import NavLink, StudyHeader
from shared.web.container import get_container

PageId = Literal["cohort", "participants", "participant", "queries", "operations"]


@dataclass(frozen=True, kw_only=True)
class PageResources(StudyResources):
    """The resources of a study's pages: the names of the parts that live updates replace, and the notes by study id."""

    live_parts: Sequence[str]
    study_notes: Mapping[str, Sequence[str]]


async def build_study_header(
    request: Request,
    study: str,
    page_id: PageId,
    *,
    position: int,
    recorded_at: datetime | str | None,
    heading: str = "",
    cut: str = "",
    epoch: str | None = None,
) -> StudyHeader:
    """Builds the header for an authenticated request.

    `recorded_at` is the time at which the last fact up to `position` was recorded. `cut` is the data cut-off,
    YYYY-MM-DD. The default heading is the study's title.
    """
    resources = get_container(request).opened(PageResources)
    member = request.state.caller.subject
    state = await resources.studies.current(study)
    title = next((opened.title for opened in state.record.facts_of(StudyOpened)), study)
    return StudyHeader(
        study_id=study,
        title=title,
        heading=heading or title,
        position=position,
        recorded_at=recorded_at,
        cut=cut,
        epoch=epoch,
        live_url="" if page_id == "operations" else urls.live_url(study),
        live_parts=resources.live_parts,
        notes=resources.study_notes.get(study, ()),
        nav_links=list(_nav_links(study, state.rights(member), page_id)),
        member=member,
    )


def _nav_links(study: str, rights: Rights, page_id: PageId) -> Iterator[NavLink]:
    """Yields links to the pages that a member with these rights may see."""
    yield NavLink(urls.cohort_url(study), "Cohort", page_id == "cohort")
    if rights.visible_sites:
        yield NavLink(urls.participants_url(study), "Participants", page_id == "participants")
        yield NavLink(urls.queries_url(study), "Data queries", page_id == "queries")
    if may_see_operations(rights):
        yield NavLink(urls.operations_url(study), "Operations", page_id == "operations")
