"""The page of a study's queries, by the site that can answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.analytics.figures import humanize
from services.analytics.pages.html_errors import html_or_error, pages
from services.analytics.pages.render import MAX_TABLE_ROWS, NavLink
from services.analytics.pages.study_header import build_study_header
from services.analytics.queries import QueryWithStatus
from services.analytics.queries.api import QueryFilterParameters
from services.analytics.queries.service import QueryService
from shared.contracts.study import SiteActivated
from shared.kernel.record import Record
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads, note_rows
from shared.web.same_origin import PageRoute

routes = APIRouter(include_in_schema=False, route_class=PageRoute)
STATE_LABELS = {"open": "Open", "explained": "Explained", "all": "All"}


@dataclass(frozen=True, slots=True)
class SiteQueries:
    """The queries of participants that are at one site now."""

    site_id: str
    name: str
    address: str
    rows: Sequence[QueryWithStatus]


@dataclass(frozen=True, slots=True)
class QueryPageView:
    """`source` is the page's own address, `count` how many there are, of which `sites` shows the first `ROWS_SHOWN`.
    `narrowed` says to what, `whole` leads to all of the study."""

    source: str
    narrowed: Sequence[str]
    whole: str
    state: str
    states: Sequence[NavLink]
    count: int
    sites: Sequence[SiteQueries]

    @property
    def shown(self) -> int:
        return sum(len(site.rows) for site in self.sites)


@routes.get("/analytics/studies/{study_id}/queries")
@logs_reads
async def queries_page(
    request: Request, study: StudyIdPath, parameters: Annotated[QueryFilterParameters, Query()]
) -> Response:
    return await html_or_error(request, _render_queries(request, study, parameters))


async def _render_queries(request: Request, study: str, parameters: QueryFilterParameters) -> str:
    await request.app.state.admit(request)
    service: QueryService = request.app.state.queries
    current, rows = await service.visible_queries(study, request.state.caller.subject, parameters.to_filter())
    note_rows(
        request,
        study,
        "queries",
        min(len(rows), MAX_TABLE_ROWS),
        site=parameters.site,
        participant=parameters.participant,
    )
    record = (await request.app.state.figures.studies.current(study)).record
    query = parameters.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    view = QueryPageView(
        source=_queries_url(study, query),
        narrowed=[
            f"{member} {humanize(value) if member == 'rule' else value}"
            for member, value in query.items()
            if member != "state"
        ],
        whole=_queries_url(study, {"state": parameters.state} if "state" in query else {}),
        state=parameters.state,
        states=[
            NavLink(_queries_url(study, {**query, "state": name}), label, name == parameters.state)
            for name, label in STATE_LABELS.items()
        ],
        count=len(rows),
        sites=_group_by_site(study, record, rows, query),
    )
    recorded_at = current.recorded_at.isoformat() if current.recorded_at else ""
    return pages.queries(await build_study_header(request, study, "queries", current.position, recorded_at), view)


def _group_by_site(
    study: str, record: Record, rows: Sequence[QueryWithStatus], query: dict[str, str]
) -> list[SiteQueries]:
    names = {site.site_id: site.name for site in record.facts_of(SiteActivated)}
    ordered = sorted(rows, key=lambda row: (row.site_id, row.participant_id, row.since, row.key))[:MAX_TABLE_ROWS]
    return [
        SiteQueries(site, names.get(site, site), _queries_url(study, {**query, "site": site}), list(of_site))
        for site, of_site in groupby(ordered, key=lambda row: row.site_id)
    ]


def _queries_url(study: str, query: dict[str, str]) -> str:
    return f"/analytics/studies/{study}/queries{'?' if query else ''}{urlencode(query)}"
