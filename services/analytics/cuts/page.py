"""The page of the changes of a study since a data cut or a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.cuts.api import ChangeQuery, ChangeResources
from services.analytics.cuts.changes import Changes, FactDifference
from services.analytics.study_header import StudyPage, build_study_header
from shared.contracts.catalogue import find_stream
from shared.ui.forms.targets import fact_heading
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads, note_rows

FILE_KINDS = {".json": "Changes", ".csv": "Table"}
PAGE = StudyPage(route=urls.changes_url("{study_id}"))
routes = create_page_router()


def _fact_name(change: FactDifference) -> str:
    """Returns the name of a fact in words; its type where this release does not have it."""
    is_study = change.participant_id is None
    fact = find_stream(change.service, is_study=is_study).facts.get(change.type)
    return fact_heading(fact) if fact else change.type


pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={"fact_name": _fact_name},
    functions={"participant_url": urls.participant_url},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesView:
    """The changes on their page, with the facts that fit on it, the newest last, and links to the files."""

    changes: Changes
    facts_shown: Sequence[FactDifference]
    since_words: str
    downloads: Sequence[Link]


@routes.get(PAGE.route)
@logs_reads
async def changes_page(request: Request, study: StudyIdPath, change_query: ChangeQuery) -> Response:
    return await html_or_error(request, pages, _render_changes(request, study, change_query.since))


async def _render_changes(request: Request, study: str, since: str) -> str:
    await get_container(request).authenticate(request)
    service = get_container(request).get_resources(ChangeResources).changes
    study_changes = await service.changes(study, request.state.caller.subject, since)
    note_rows(
        request,
        study,
        "changes",
        len(study_changes.facts) + len(study_changes.participants_in) + len(study_changes.participants_out),
    )
    header = await build_study_header(
        request,
        study,
        PAGE,
        heading="Changes",
        position=study_changes.after.position,
        recorded_at=study_changes.after.recorded_at,
    )
    return pages.render_study("changes.html", header, view=_view(study_changes))


def _view(changes: Changes) -> ChangesView:
    _, _, name = changes.since.partition("cut:")
    return ChangesView(
        changes=changes,
        facts_shown=changes.facts[:MAX_TABLE_ROWS],
        since_words=f"data cut {name}" if name else f"position {changes.since}",
        downloads=[
            Link(urls.changes_file_url(changes.study_id, extension, changes.since), f"{label} ({extension})")
            for extension, label in FILE_KINDS.items()
        ],
    )
