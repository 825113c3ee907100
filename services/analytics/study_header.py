"""The description of each page of a study, and the header that all of them have: title, position, notes, navigation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from services.analytics import urls
from services.analytics.disclosure.policy import READER_EVENT
from services.analytics.snapshot.api import StudyResources
from shared.contracts.study import StudyOpened
from shared.security.grants import Rights
from shared.ui.navigation import NavLink, StudyHeader
from shared.web.container import get_container


def _may_see_study(rights: Rights) -> bool:
    return bool(rights.grants)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage:
    """A page of a study.

    `route`: its address with `{study_id}`. `nav_label`: its link in the navigation; "" for a page without one, to which
    other pages lead. `may_see`: returns whether members with these rights get the link. `is_live`: the
    page follows the record by the event stream of the study.
    """

    route: str
    nav_label: str = ""
    may_see: Callable[[Rights], bool] = _may_see_study
    is_live: bool = False


@dataclass(frozen=True, kw_only=True)
class PageResources(StudyResources):
    """The resources of a study's pages.

    `pages`: all of them, in the order of the navigation. `live_parts`: names of the parts that live updates replace.
    `study_notes`: notes by study id.
    """

    pages: Sequence[StudyPage]
    live_parts: Sequence[str]
    study_notes: Mapping[str, Sequence[str]]


async def build_study_header(
    request: Request,
    study: str,
    page: StudyPage,
    *,
    position: int,
    recorded_at: datetime | None,
    heading: str = "",
    cut_date: str = "",
    epoch: str | None = None,
) -> StudyHeader:
    """Builds the header for an authenticated request.

    `recorded_at` is the time at which the last fact up to `position` was recorded. `cut_date` is the data cut-off,
    YYYY-MM-DD. The default heading is the study's title.
    """
    resources = get_container(request).get_resources(PageResources)
    member = request.state.caller.subject
    state = await resources.studies.current(study)
    rights = state.rights(member)
    title = next((opened.title for opened in state.record.facts_of(StudyOpened)), study)
    return StudyHeader(
        study_id=study,
        title=title,
        heading=heading or title,
        position=position,
        recorded_at=recorded_at,
        cut_date=cut_date,
        epoch=epoch,
        live_url=urls.live_url(study) if page.is_live else "",
        live_parts=(READER_EVENT,) if rights.is_reader else resources.live_parts,
        notes=resources.study_notes.get(study, ()),
        nav_links=list(navigation_links(resources.pages, study, rights, page)),
        member=member,
    )


def navigation_links(pages: Iterable[StudyPage], study: str, rights: Rights, current: StudyPage) -> Iterator[NavLink]:
    """Yields links to the pages that a member with these rights may see; that to the `current` page is marked."""
    for page in pages:
        if page.nav_label and page.may_see(rights):
            yield NavLink(page.route.format(study_id=study), page.nav_label, page is current)
